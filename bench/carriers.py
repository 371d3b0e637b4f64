"""HTTP clients compared: CPU microseconds of one POST of 3.5 KB by each, against the same sink.

CPU is user and system time of all threads of this process.
"""

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import aiohttp
from pyreqwest.client import ClientBuilder

from bench.servers import run_sink
from engine.delivery.transports.carrier import Carrier

CALLS = 8_000
AT_ONCE = 32
BODY = b"x" * 3_500
PATH = "/v2/email/outbound-emails"
Post = Callable[[], Awaitable[object]]


def main() -> None:
    with run_sink(0.0) as sink:
        print(f"carriers: one POST of {len(BODY):,} bytes, {AT_ONCE} in flight, CPU µs of all threads")
        for name, measure in (
            ("own protocol on httptools", measure_own),
            ("pyreqwest (Rust)", measure_pyreqwest),
            ("aiohttp", measure_aiohttp),
        ):
            print(f"{name:28}{asyncio.run(measure(sink.url)):>8,.0f}")


async def measure_own(url: str) -> float:
    parts = urlsplit(url)
    carrier = Carrier(host=str(parts.hostname), port=parts.port or 80, tls=None)
    head = f"POST {PATH} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
    try:
        return await time_calls(lambda: carrier.post(head, BODY))
    finally:
        carrier.close()


async def measure_aiohttp(url: str) -> float:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:

        async def post() -> None:
            async with session.post(url + PATH, data=BODY) as answer:
                await answer.read()

        return await time_calls(post)


async def measure_pyreqwest(url: str) -> float:
    async with ClientBuilder().build() as client:

        async def post() -> None:
            answer = await client.post(url + PATH).body_bytes(BODY).build().send()
            await answer.bytes()

        return await time_calls(post)


async def time_calls(post: Post) -> float:
    """Return CPU microseconds a call."""

    async def lane(calls: int) -> None:
        for _ in range(calls):
            await post()

    await asyncio.gather(*(lane(20) for _ in range(AT_ONCE)))
    before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    await asyncio.gather(*(lane(CALLS // AT_ONCE) for _ in range(AT_ONCE)))
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert time.perf_counter() > begun
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / CALLS * 1e6
