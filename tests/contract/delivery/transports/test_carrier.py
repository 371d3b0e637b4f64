"""The carrier against a misbehaving server: what was certainly never sent, and what is in doubt."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from socket import AF_INET, AF_INET6, SOCK_STREAM
from typing import Any

import pytest
import trustme

from engine.delivery.transports import carrier as carrier_module
from engine.delivery.transports import connection as connection_module
from engine.delivery.transports import idle_connections
from engine.delivery.transports.carrier import Carrier
from engine.delivery.transports.connection import InDoubtError, NeverSentError
from engine.delivery.transports.http_answer import HttpAnswer

pytestmark = pytest.mark.usefixtures("both_ways")

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"MessageId":"1"}'
HEAD = b"POST /v2/email/outbound-emails HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


CONTEXTS: tuple[ssl.SSLContext | None, ssl.SSLContext | None] = None, None  # of the server, of the carrier


def make_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    theirs, ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1", "ses.example").configure_cert(theirs)
    authority.configure_trust(ours)
    return theirs, ours


@pytest.fixture(params=["plain", "tls"], autouse=True)
def _protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every law holds over TCP and over TLS."""
    if request.param == "tls":
        monkeypatch.setitem(globals(), "CONTEXTS", make_contexts())


class Server:
    """Counts what it gets, and answers as configured."""

    def __init__(self, *answers: bytes | str) -> None:
        self.answers = list(answers)
        self.requests = 0
        self.connections = 0
        self.continued = 0  # TLS sessions of earlier connections
        self.hang = asyncio.Event()
        self.asked = asyncio.Event()
        self.handling: set[asyncio.Task[None]] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if (encrypted := writer.get_extra_info("ssl_object")) is not None:
            self.continued += encrypted.session_reused
        task = asyncio.current_task()
        assert task is not None
        self.handling.add(task)
        try:
            while await self._serve_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2)
        self.requests += 1
        self.asked.set()
        answer = self.answers.pop(0) if self.answers else OK
        if answer == "hang":
            await self.hang.wait()
        elif answer == "reset":
            writer.transport.abort()
        elif isinstance(answer, bytes):
            cut = answer.endswith(b"[close]")
            writer.write(answer.removesuffix(b"[close]"))
            await writer.drain()
            return not cut
        return False


@asynccontextmanager
async def serving(*answers: bytes | str, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Server, int]]:
    server = Server(*answers)
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0, ssl=tls or CONTEXTS[0])
    try:
        yield server, listening.sockets[0].getsockname()[1]
    finally:
        server.hang.set()
        listening.close()
        await asyncio.gather(*server.handling)


@asynccontextmanager
async def carrying(
    port: int,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    quiet: float = 0.0,
    longest: float | None = None,
) -> AsyncIterator[Carrier]:
    carrier = Carrier(
        host=host, port=port, tls=tls or CONTEXTS[1], connect_seconds=5.0, quiet_seconds=quiet, longest_seconds=longest
    )
    try:
        yield carrier
    finally:
        carrier.close()
        for _ in range(3):  # until the transports have closed themselves
            await asyncio.sleep(0)


async def test_an_answer_arrives_whole_and_the_connection_is_used_again():
    async with serving() as (server, port), carrying(port) as carrier:
        for _ in range(3):
            assert await carrier.post(HEAD, b"{}") == HttpAnswer(200, "", b'{"MessageId":"1"}')
        assert (server.requests, server.connections, carrier.open_connections) == (3, 1, 1)


@pytest.mark.parametrize("size", [0, 65_535, 65_536, 300_000, 8_000_000])
async def test_a_request_arrives_unchanged_whatever_its_size(size: int):
    """More than the kernel takes at once, too."""
    body, received, ended = random.Random(size).randbytes(size), list[bytes](), asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            received.append(await reader.readexactly(len(HEAD) + size))
            writer.write(OK)
        await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=CONTEXTS[0]) as listening:
        async with carrying(listening.sockets[0].getsockname()[1]) as carrier:
            for _ in range(2):
                assert (await carrier.post(HEAD, body)).status == 200
            assert carrier.open_connections == 1
        await ended.wait()
    assert received == [HEAD + body] * 2


async def test_calls_at_once_have_a_connection_each():
    async with serving() as (server, port), carrying(port) as carrier:
        await asyncio.gather(*(carrier.post(HEAD, b"{}") for _ in range(5)))
        assert server.connections == 5


async def test_status_error_type_and_chunked_bodies_are_read():
    chunked = (
        b"HTTP/1.1 429 Too Many\r\nX-Amzn-ErrorType: TooManyRequestsException\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    )
    async with serving(chunked) as (server, port), carrying(port) as carrier:
        assert await carrier.post(HEAD, b"{}") == HttpAnswer(429, "TooManyRequestsException", b"{}")
        await carrier.post(HEAD, b"{}")
        assert server.connections == 1


async def test_interim_answer_is_not_used_as_the_final_one():
    async with serving(b"HTTP/1.1 100 Continue\r\n\r\n" + OK) as (_, port), carrying(port) as carrier:
        assert (await carrier.post(HEAD, b"{}")).status == 200


IN_DOUBT = {
    "closed after reading": b"[close]",
    "reset after reading": "reset",
    "cut in the head": b"HTTP/1.1 200 O[close]",
    "cut in the body": b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"Mess[close]',
    "no HTTP": b"220 mail.example ESMTP\r\n[close]",
    "an endless body": b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 1_100_000,
}


@pytest.mark.parametrize("answer", IN_DOUBT.values(), ids=IN_DOUBT)
async def test_failure_after_the_request_began_is_in_doubt_and_sent_once(answer: bytes | str):
    async with serving(answer) as (server, port), carrying(port) as carrier:
        with pytest.raises(InDoubtError):
            await carrier.post(HEAD, b"{}")
        assert server.requests == 1
        assert (await carrier.post(HEAD, b"{}")).status == 200  # on a new connection
        assert server.connections == 2


async def test_no_answer_in_time_is_in_doubt(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection_module, "ANSWER_SECONDS", 0.02)
    monkeypatch.setattr(carrier_module, "_SWEEP_SECONDS", 0.01)
    async with serving("hang") as (server, port), carrying(port) as carrier:
        with pytest.raises(InDoubtError, match="no answer within"):
            await carrier.post(HEAD, b"{}")
        assert server.requests == 1


async def test_a_refused_connection_and_an_unknown_name_were_never_sent():
    async with serving() as (_, port):
        pass
    async with carrying(port) as carrier:
        with pytest.raises(NeverSentError):
            await carrier.post(HEAD, b"{}")
    async with carrying(port, host="name.invalid") as carrier:
        with pytest.raises(NeverSentError):
            await carrier.post(HEAD, b"{}")


async def test_every_address_of_a_name_is_tried_and_asked_for_once(monkeypatch: pytest.MonkeyPatch):
    """A machine may look up IPv6 addresses, and have no route to them."""
    async with serving() as (server, port), carrying(port, host="ses.example") as carrier:
        asked: list[str] = []

        async def answer(host: str, port: int, **_: object) -> list[Any]:
            asked.append(host)
            await asyncio.sleep(0)
            return [(AF_INET6, SOCK_STREAM, 6, "", ("::1", port)), (AF_INET, SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(carrier.loop, "getaddrinfo", answer)
        answers = await asyncio.gather(*(carrier.post(HEAD, b"{}") for _ in range(10)))
        assert [one.status for one in answers] == [200] * 10
        assert (server.connections, asked) == (10, ["ses.example"])


async def test_waiting_for_a_connection_is_bounded_when_tls_hangs():
    writers: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)  # TCP alone answers
    port = silent.sockets[0].getsockname()[1]
    async with carrying(port, tls=ssl.create_default_context()) as carrier:
        carrier.connect_seconds = 0.05
        with pytest.raises(NeverSentError, match="within"):
            await carrier.post(HEAD, b"{}")
    silent.close()
    for writer in writers:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_new_connections_continue_a_tls_session_of_an_earlier_one():
    async with serving(*[OK + b"[close]"] * 4) as (server, port), carrying(port) as carrier:
        for _ in range(4):
            await carrier.post(HEAD, b"{}")
            while carrier.open_connections:  # noqa: ASYNC110 - the carrier has no event for it
                await asyncio.sleep(0)
        assert server.connections == 4
        assert server.continued == (0 if CONTEXTS[0] is None else 3)


async def test_tls_is_verified_and_an_untrusted_server_receives_nothing():
    authority, stranger = trustme.CA(), trustme.CA()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    ours, wrong = ssl.create_default_context(), ssl.create_default_context()
    authority.configure_trust(ours)
    stranger.configure_trust(wrong)
    async with serving(tls=theirs) as (server, port):
        async with carrying(port, tls=ours) as carrier:
            assert (await carrier.post(HEAD, b"{}")).status == 200
        async with carrying(port, tls=wrong) as carrier:
            with pytest.raises(NeverSentError, match="certificate"):
                await carrier.post(HEAD, b"{}")
        assert server.requests == 1


async def test_a_connection_that_the_server_closed_while_idle_is_not_used():
    async with serving(OK + b"[close]") as (server, port), carrying(port) as carrier:
        await carrier.post(HEAD, b"{}")
        while carrier.open_connections:  # noqa: ASYNC110 - the carrier has no event for it
            await asyncio.sleep(0)
        assert (await carrier.post(HEAD, b"{}")).status == 200
        assert (server.requests, server.connections) == (2, 2)


async def test_idle_connections_are_closed_before_ses_closes_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(idle_connections, "IDLE_SECONDS", 0.0)
    async with serving() as (server, port), carrying(port) as carrier:
        await carrier.post(HEAD, b"{}")
        await carrier.post(HEAD, b"{}")
        assert server.connections == 2


async def test_a_connection_that_is_too_old_is_not_used_again(monkeypatch: pytest.MonkeyPatch):
    now = 1000.0
    for module in (carrier_module, connection_module, idle_connections):
        monkeypatch.setattr(module, "monotonic", lambda: now)
    async with serving() as (server, port), carrying(port, longest=60.0) as carrier:
        for seconds, connections in ((0.0, 1), (11.0, 1), (11.0, 1), (11.0, 1), (11.0, 1), (11.0, 1), (11.0, 2)):
            now += seconds
            await carrier.post(HEAD, b"{}")
            assert server.connections == connections


async def test_a_cancelled_call_does_not_leave_its_answer_to_the_next_one():
    async with serving("hang") as (server, port), carrying(port) as carrier:
        call = asyncio.create_task(carrier.post(HEAD, b"{}"))
        await server.asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await carrier.post(HEAD, b"{}")).status == 200
        assert server.connections == 2


async def test_closing_ends_calls_under_way_in_doubt():
    async with serving("hang") as (server, port), carrying(port) as carrier:
        call = asyncio.create_task(carrier.post(HEAD, b"{}"))
        await server.asked.wait()
        carrier.close()
        with pytest.raises(InDoubtError):
            await call
