"""The carrier against servers that close kept connections without notice, compress answers, or answer twice."""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import orjson
import pytest
import trustme
from support import rude_proxy
from support.rude_proxy import Manners, run_rude_proxy

from engine.delivery.transports.carrier import Carrier
from engine.delivery.transports.connection import InDoubtError, NeverSentError
from engine.delivery.transports.http_answer import AnswerReader, UnreadableAnswerError
from engine.delivery.transports.socket_state import EndedUnread, read_state

pytestmark = pytest.mark.usefixtures("both_ways")

CALLS = 300
AT_ONCE = 16


class Receiver:
    """Accepts every request and answers with its number; records what it accepted."""

    def __init__(self) -> None:
        self.accepted: Counter[int] = Counter()
        self.handling: set[asyncio.Task[None] | None] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handling.add(asyncio.current_task())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                number = int(await reader.readexactly(length))
                self.accepted[number] += 1
                body = b'{"MessageId":"%d"}' % number
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.handle, "127.0.0.1", 0)
    async with server:
        yield receiver, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await asyncio.gather(*(task for task in receiver.handling if task is not None))


async def call(carrier: Carrier, number: int) -> str:
    body = b"%d" % number
    head = b"POST /v2/email/outbound-emails HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body)
    answer = await carrier.post(head, body)
    return str(orjson.loads(answer.body)["MessageId"])


@dataclass
class Outcomes:
    """What happened to every number: accepted by the receiver, arrived at a closing server, and its result.

    Attributes:
        parts: requests of which only a part arrived, which does not say its number.
    """

    accepted: Counter[int] = field(default_factory=Counter)
    unread: set[int] = field(default_factory=set)
    parts: int = 0
    answered: dict[int, str] = field(default_factory=dict)
    in_doubt: set[int] = field(default_factory=set)
    never_sent: set[int] = field(default_factory=set)


async def post_all(manners: Manners, *, tls: bool) -> Outcomes:
    authority, theirs, ours = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), None
    if tls:
        authority.issue_cert("127.0.0.1").configure_cert(theirs)
        ours = ssl.create_default_context()
        authority.configure_trust(ours)
    outcome = Outcomes()
    async with receiving() as (receiver, url):
        with run_rude_proxy(url, manners, theirs if tls else None) as proxy:
            carrier = Carrier(host="127.0.0.1", port=proxy.port, tls=ours)
            numbers = iter(range(CALLS))

            async def post_some() -> None:
                for number in numbers:
                    try:
                        outcome.answered[number] = await call(carrier, number)
                    except InDoubtError:
                        outcome.in_doubt.add(number)
                    except NeverSentError:
                        outcome.never_sent.add(number)
                    await asyncio.sleep(0.02)

            await asyncio.gather(*(post_some() for _ in range(AT_ONCE)))
            carrier.close()
            await asyncio.sleep(0)
            await asyncio.to_thread(proxy.stop)
    outcome.accepted = receiver.accepted
    outcome.unread = {int(request.rpartition(b"\r\n\r\n")[2]) for request in proxy.unread if request}
    outcome.parts = proxy.unread.count(b"")
    return outcome


MANNERS = {
    "close at once": rude_proxy.close_at_once,
    "close after 20 ms": rude_proxy.close_after(0.02),
    "close after 80 ms": rude_proxy.close_after(0.08),
    "close half": rude_proxy.close_half_and_accept,
    "reset": rude_proxy.reset_soon,
    "packed": rude_proxy.compressed,
    "no length": rude_proxy.without_a_length,
    "twice at once": rude_proxy.twice_at_once,
    "twice, 5 ms later": rude_proxy.twice_later(0.005),
    "twice, 30 ms later": rude_proxy.twice_later(0.03),
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("manners", MANNERS.values(), ids=MANNERS)
async def test_nobody_is_in_doubt_who_was_not_received(manners: Manners, tls: bool):  # noqa: FBT001 - a parameter of pytest
    outcome = await post_all(manners, tls=tls)
    accepted, answered = set(outcome.accepted), outcome.answered
    assert set(outcome.accepted.values()) <= {1}
    assert set(answered) <= accepted <= set(answered) | outcome.in_doubt
    assert len(outcome.in_doubt - accepted - outcome.unread) <= outcome.parts
    assert not outcome.never_sent & accepted
    assert all(int(message_id) == number for number, message_id in answered.items())


@asynccontextmanager
async def one_connection() -> AsyncIterator[tuple[Carrier, socket.socket, "asyncio.Future[str]"]]:
    """Make a call on a connection that has answered before, with the server's side of it in hand; nothing was read."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)  # noqa: FBT003 - the name says it
        carrier = Carrier(host="127.0.0.1", port=listener.getsockname()[1], tls=None, quiet_seconds=0.0)
        first = asyncio.ensure_future(call(carrier, 1))
        server, _ = await loop.sock_accept(listener)
        await loop.sock_recv(server, 10_000)
        server.send(b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"MessageId":"1"}')
        await first
        second = asyncio.ensure_future(call(carrier, 2))
        try:
            yield carrier, server, second
        finally:
            server.close()
            carrier.close()
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)


async def test_unread_end_is_seen_before_the_connection_is_used():
    async with one_connection() as (carrier, server, second):
        server.shutdown(socket.SHUT_WR)  # before the second call has begun
        await asyncio.sleep(0.05)
        assert not second.done()
        assert carrier.open_connections <= 1  # it uses a new connection, which nothing accepts here
        assert server.recv(1) == b""  # closed, and not a byte of the request arrived


async def test_a_request_that_was_acknowledged_is_in_doubt_whatever_follows():
    async with one_connection() as (_, server, second):
        await asyncio.sleep(0.02)  # the request is in the server's kernel
        assert server.recv(10_000, socket.MSG_PEEK)
        await asyncio.sleep(0.3)  # and acknowledged
        server.close()  # with bytes unread: a reset
        with pytest.raises(InDoubtError):
            await second


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "half closed"])
async def test_unread_is_proven_by_a_reset_and_by_no_acknowledged_byte(closed: bool):  # noqa: FBT001 - a parameter
    """The server ends its stream in the instant in which a request is written."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            before = read_state(client)
            assert before is not None
            server.shutdown(socket.SHUT_WR)
            if closed:
                server.close()
            client.send(b"POST / HTTP/1.1\r\n\r\n")
            assert await EndedUnread(client.dup(), before).is_proven() is closed


OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = {
    "length": OK + b"Content-Length: 2\r\n\r\n{}",
    "chunks and trailers": OK
    + b"Transfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n2\r\n{}\r\n0\r\nContent-Encoding: br\r\n\r\n",
    "interim answers": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Encoding: br\r\n\r\n"
    + OK
    + b"Content-Length: 2\r\n\r\n{}",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "end of the stream": OK + b"\r\n{}",
    "HTTP/1.0 to the end": b"HTTP/1.0 200 OK\r\n\r\n{}",
    "identity": OK + b"Content-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize("stream", WHOLE.values(), ids=WHOLE)
def test_answer_is_read_with_any_framing_of_its_end(stream: bytes, step: int):
    reader = AnswerReader()
    for at in range(0, len(stream), step):
        reader.feed(stream[at : at + step])
    reader.end()
    assert reader.complete
    assert (reader.read().status, reader.read().body, reader.is_followed) == (200, b"{}", False)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_without_a_body_is_whole(status: bytes):
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 " + status + b"\r\n\r\n")
    assert reader.complete
    assert reader.keeps_connection


CUT = {
    "in the length": OK + b"Content-Length: 3\r\n\r\n{}",
    "in the chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "in the head": OK,
    "after an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
}


@pytest.mark.parametrize("stream", CUT.values(), ids=CUT)
def test_a_cut_answer_is_not_whole(stream: bytes):
    reader = AnswerReader()
    reader.feed(stream)
    reader.end()
    assert not reader.complete


@pytest.mark.parametrize(
    "head", [b"Content-Encoding: br\r\n", b"Content-Encoding: zstd\r\n", b"Content-Encoding: gzip\r\n"]
)
def test_damaged_compression_is_unreadable_without_an_error_header(head: bytes):
    answers = [AnswerReader(), AnswerReader()]
    answers[0].feed(OK + head + b"Content-Length: 2\r\n\r\n{}")
    with pytest.raises(UnreadableAnswerError):
        answers[0].read()
    answers[1].feed(
        b"HTTP/1.1 400 Bad\r\nX-Amzn-ErrorType: MessageRejected\r\n" + head + b"Content-Length: 2\r\n\r\n{}"
    )
    assert answers[1].read().error_type == "MessageRejected"


async def test_announced_keep_alive_time_is_respected():
    told = AnswerReader()
    told.feed(OK + b"Keep-Alive: timeout=5, max=100\r\nContent-Length: 0\r\n\r\n")
    assert (told.idle_seconds, told.keeps_connection) == (5.0, True)
    last = AnswerReader()
    last.feed(OK + b"Keep-Alive: timeout=5, max=0\r\nContent-Length: 0\r\n\r\n")
    assert not last.keeps_connection
