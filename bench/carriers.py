"""HTTP clients compared: CPU microseconds of one call of 3.5 KB by each, over HTTP and HTTPS, against the same sink.

CPU is user and system time of all threads of this process, connections included. mailrun's calls and aiobotocore's are
signed; the others only send and receive.
"""

import asyncio
import resource
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from urllib.parse import urlsplit

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from pyreqwest.client import ClientBuilder

from bench.servers import SinkServer, run_sink
from engine.account.send_endpoint import SendEndpoint
from engine.delivery.transports.callers import LeanCaller
from engine.delivery.transports.carrier import Carrier
from engine.system.event_loop import make_loop

CALLS = 8_000
AT_ONCE = 32
LATENCY_SECONDS = 0.02
BODY = b"x" * 3_500
PATH = "/v2/email/outbound-emails"
Post = Callable[[], Awaitable[object]]


class Keys:
    """Credentials as botocore has them."""

    async def get_frozen_credentials(self) -> SimpleNamespace:
        return SimpleNamespace(access_key="AKIDBENCH", secret_key="secret", token=None)  # noqa: S106 - the sink's


@dataclass(frozen=True)
class Client:
    """One client, and the event loop that it runs on."""

    name: str
    open: Callable[[SinkServer], AbstractAsyncContextManager[Post]]
    make_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop


def main() -> None:
    print(f"carriers: one call of {len(BODY):,} bytes, {AT_ONCE} in flight, CPU µs of all threads")
    print(f"{'':28}{'HTTP':>8}{f'HTTPS, {LATENCY_SECONDS * 1000:.0f} ms':>16}")
    with run_sink(0.0) as plain, run_sink(LATENCY_SECONDS, tls=True) as secure:
        for client in CLIENTS:
            found = []
            for sink in (plain, secure):
                with asyncio.Runner(loop_factory=client.make_loop) as runner:
                    found.append(runner.run(_time_calls(client, sink)))
            print(f"{client.name:28}{found[0]:>8,.0f}{found[1]:>16,.0f}")


async def _time_calls(client: Client, sink: SinkServer) -> float:
    """Return CPU microseconds of a call."""
    async with client.open(sink) as post:

        async def lane(calls: int) -> None:
            for _ in range(calls):
                await post()

        await asyncio.gather(*(lane(20) for _ in range(AT_ONCE)))
        before = resource.getrusage(resource.RUSAGE_SELF)
        await asyncio.gather(*(lane(CALLS // AT_ONCE) for _ in range(AT_ONCE)))
        after = resource.getrusage(resource.RUSAGE_SELF)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / CALLS * 1e6


def _trust(sink: SinkServer) -> ssl.SSLContext | None:
    return None if sink.authority is None else ssl.create_default_context(cafile=str(sink.authority))


@asynccontextmanager
async def _open_own(sink: SinkServer) -> AsyncIterator[Post]:
    parts = urlsplit(sink.url)
    host, port = str(parts.hostname), parts.port or 80
    endpoint = SendEndpoint(
        scheme=parts.scheme,
        host=host,
        port=port,
        authority=parts.netloc,
        paths={"SendEmail": PATH},
        headers={"Content-Type": "application/json", "User-Agent": "bench"},
        region="us-east-1",
        service="ses",
    )
    carrier = Carrier(host=host, port=port, tls=_trust(sink))
    caller = LeanCaller(endpoint, Keys(), carrier)
    try:
        yield lambda: caller.call("SendEmail", BODY)
    finally:
        carrier.close()


@asynccontextmanager
async def _open_streams(sink: SinkServer) -> AsyncIterator[Post]:
    parts = urlsplit(sink.url)
    head = f"POST {PATH} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
    opened = [await asyncio.open_connection(str(parts.hostname), parts.port, ssl=_trust(sink)) for _ in range(AT_ONCE)]
    free = list(opened)

    async def post() -> None:
        reader, writer = free.pop()
        writer.write(head + BODY)
        answer = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]))
        free.append((reader, writer))

    yield post
    for _, writer in opened:
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def _open_aiohttp(sink: SinkServer) -> AsyncIterator[Post]:
    connector = aiohttp.TCPConnector(limit=AT_ONCE, ssl=_trust(sink) or True)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def post() -> None:
            async with session.post(sink.url + PATH, data=BODY) as answer:
                await answer.read()

        yield post


@asynccontextmanager
async def _open_aiobotocore(sink: SinkServer) -> AsyncIterator[Post]:
    async with get_session().create_client(
        "sesv2",
        region_name="us-east-1",
        endpoint_url=sink.url,
        aws_access_key_id="AKIDBENCH",
        aws_secret_access_key="secret",  # noqa: S106 - the sink's
        verify=None if sink.authority is None else str(sink.authority),
        config=AioConfig(max_pool_connections=AT_ONCE),
    ) as client:
        content = {"Simple": {"Subject": {"Data": "-"}, "Body": {"Text": {"Data": BODY.decode()}}}}
        to = {"ToAddresses": ["ann@example.com"]}
        yield lambda: client.send_email(FromEmailAddress="a@acme.example", Destination=to, Content=content)


@asynccontextmanager
async def _open_pyreqwest(sink: SinkServer) -> AsyncIterator[Post]:
    builder = ClientBuilder()
    if sink.authority is not None:
        builder = builder.add_root_certificate_pem(sink.authority.read_bytes())
    async with builder.build() as client:

        async def post() -> None:
            answer = await client.post(sink.url + PATH).body_bytes(BODY).build().send()
            await answer.bytes()

        yield post


CLIENTS = (
    Client("mailrun, uvloop", _open_own, make_loop),
    Client("mailrun, asyncio", _open_own),
    Client("asyncio streams", _open_streams),
    Client("pyreqwest (Rust)", _open_pyreqwest),
    Client("aiohttp", _open_aiohttp),
    Client("aiobotocore", _open_aiobotocore),
)


if __name__ == "__main__":
    main()
