"""A server on the open network keeps no more connections, for no longer and with no more in them than its bounds."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web
from msgspec.structs import replace

from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.feedback.unsubscribe.pages import UnsubscribePages
from engine.feedback.unsubscribe.requests import MOST_BODY_BYTES
from engine.feedback.unsubscribe.server import LinkServer
from engine.http.connections import ConnectionBounds, stop_serving
from engine.http.guard import RequestGuard, make_server

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
ROOMY = ConnectionBounds()
ASK = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
SIGNER = TokenSigner([b"a-signing-key-of-32-characters-x"])


async def greet(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=await request.read())


@asynccontextmanager
async def serve(bounds: ConnectionBounds, handle: Handle = greet) -> AsyncIterator[int]:
    runner = web.ServerRunner(make_server(handle, RequestGuard("127.0.0.1", is_public=True), bounds=bounds))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await stop_serving(runner)


async def ask(port: int, request: bytes = ASK) -> bytes:
    """Send something, and read until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_one_connection_too_many_is_asked_to_come_again() -> None:
    async with serve(replace(ROOMY, connections=2, retry_seconds=7)) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for reader, writer in held:  # both are served
            writer.write(ASK)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        refused = await ask(port, b"")
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 7\r\n" in refused
        held[0][1].close()
        await held[0][1].wait_closed()
        closing = ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        while not (answered := await ask(port, closing)).startswith(b"HTTP/1.1 200"):
            assert answered.startswith(b"HTTP/1.1 503")  # the server has not received the close yet
        held[1][1].close()


@pytest.mark.parametrize("begun", [b"", b"GET / HT", ASK[:-2], ASK])
async def test_a_connection_without_a_whole_request_ends(begun: bytes) -> None:
    async with serve(replace(ROOMY, idle_seconds=0.05)) as port:
        answered = await ask(port, begun)
    assert answered.startswith(b"HTTP/1.1 200" if begun == ASK else b"")


async def test_an_old_connection_closes_with_its_next_answer() -> None:
    async with serve(replace(ROOMY, old_seconds=0.0)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answers = b""
        while chunk := await ask_again(reader, writer):
            answers += chunk
        writer.close()
    assert b"connection: close" in answers.lower()


async def ask_again(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    try:
        writer.write(ASK)
        return await reader.read(1000)
    except ConnectionError:
        return b""


async def test_a_connection_ends_whatever_it_is_doing() -> None:
    """Also one whose client sends a body byte by byte, or reads nothing."""
    never = asyncio.Event()

    async def wait(_: web.BaseRequest) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    async with serve(replace(ROOMY, total_seconds=0.05), wait) as port:
        assert await ask(port) == b""
        never.set()


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /%b HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"a" * ROOMY.line_bytes),
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: %b\r\n\r\n" % (b"a" * (ROOMY.field_bytes + 1)),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % (b"X: a\r\n" * (ROOMY.fields + 1)),
    ],
)
async def test_a_request_with_too_much_in_its_header_is_refused(request_: bytes) -> None:
    async with serve(ROOMY) as port:
        assert (await ask(port, request_)).split()[1] == b"400"


class NoOptOuts:
    def opt_out(self, address: str, topic: str) -> None:
        raise AssertionError(address, topic)

    def probe(self) -> None:
        raise AssertionError

    def undo(self, address: str, topic: str) -> bool:
        raise AssertionError(address, topic)


@pytest.mark.parametrize("is_packed", [False, True])
async def test_a_body_is_read_as_far_as_its_bound_and_never_unpacked(is_packed: bool) -> None:  # noqa: FBT001 - a case
    body = b"a" * (MOST_BODY_BYTES * 20)
    body = gzip.compress(body) if is_packed else body
    head = f"POST /{SIGNER.sign('a@b.example', '')} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Content-Length: {len(body)}\r\n" + ("Content-Encoding: gzip\r\n" if is_packed else "") + "\r\n"
    async with serve(ROOMY, LinkServer(SIGNER, NoOptOuts(), UnsubscribePages()).handle) as port:
        answered = await ask(port, head.encode() + body)
    assert answered.startswith(b"HTTP/1.1 400" if is_packed else b"HTTP/1.1 413")


@pytest.mark.parametrize("passes", range(6))
async def test_connection_accepted_while_the_server_stops_is_closed(passes: int) -> None:
    with socket.socket() as connected:
        async with serve(ROOMY) as port:
            connected.connect(("127.0.0.1", port))
            for _ in range(passes):
                await asyncio.sleep(0)
        connected.setblocking(False)  # noqa: FBT003 - the name says it
        with suppress(ConnectionResetError):  # it was not accepted
            assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(connected, 1), 5) == b""
