"""One kept HTTP connection: a request is written at once, and whether the server received it is certain or in doubt."""

import asyncio
from typing import Any, Protocol

from engine.delivery.transports.http_answer import AnswerReader, HttpAnswer, UnreadableAnswerError
from engine.delivery.transports.socket_state import EndedUnread, SocketState, is_quiet, read_state

ANSWER_SECONDS = 30.0  # from writing the request to the end of its answer; SES answers in well under a second


class NeverSentError(Exception):
    """The server certainly did not receive the request."""


class InDoubtError(Exception):
    """Sending began, and no complete answer arrived."""


class Pool(Protocol):
    """The pool that a connection belongs to."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of its connections."""

    def give_back(self, connection: "Connection", *, keep: bool) -> None:
        """Return a connection to the pool after its call."""

    def forget(self, connection: "Connection") -> None:
        """Drop a connection that is gone."""

    def note_unasked(self) -> None:
        """Record that the server sent unrequested data."""

    def note_closed(self, idle_seconds: float) -> None:
        """Record after what idle time the server closed a connection."""


class Connection(asyncio.Protocol):
    """One connection.

    Attributes:
        deadline: when the answer must have arrived, by the loop's clock.
        idle_since: when it was used last, by the loop's clock.
        idle_seconds: how long the server announced to keep it open; None where it announced nothing.
        lost: it is closed, or about to be.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._loop = pool.loop
        self._transport: asyncio.Transport | None = None
        self._socket: Any = None
        self._descriptor = -1
        self._is_tls = False
        self._waiter: asyncio.Future[HttpAnswer] | None = None
        self._reader: AnswerReader | None = None
        self._before: SocketState | None = None  # counters when the request was about to be written
        self._answers = 0
        self.deadline = 0.0
        self.idle_since = 0.0
        self.idle_seconds: float | None = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and the socket behind it; see asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP and TLS transports are
        self._transport = transport
        self._socket = transport.get_extra_info("socket")
        self._descriptor = self._socket.fileno()
        self._is_tls = transport.get_extra_info("ssl_object") is not None
        transport.set_write_buffer_limits(high=2**30)  # the request is one write; nothing waits for the buffer

    @property
    def is_usable(self) -> bool:
        """Return whether a request may be written: the server has neither closed the connection nor sent anything."""
        if self.lost:
            return False
        # After the handshake TLS brings session tickets; they are read before the first answer is.
        return (self._is_tls and not self._answers) or is_quiet(self._descriptor)

    def request(self, head: bytes, body: bytes) -> asyncio.Future[HttpAnswer]:
        """Write a request; returns a future of its answer."""
        assert self._transport is not None  # noqa: S101 - made before it is handed out
        self._waiter = waiter = self._loop.create_future()
        self._reader = AnswerReader()
        self.deadline = self._loop.time() + ANSWER_SECONDS
        self._before = read_state(self._socket)
        self._transport.write(head + body)
        if self._transport.is_closing() and self._has_sent_nothing():
            self._fail(NeverSentError("the connection was lost before a byte of the request had left"))
        return waiter

    def data_received(self, data: bytes) -> None:
        """Read received bytes; see asyncio.Protocol."""
        if self._waiter is None or self._reader is None:
            self._pool.note_unasked()
            self.close()  # an unrequested answer: what follows on this connection cannot be trusted
            return
        try:
            self._reader.feed(data)
        except UnreadableAnswerError as error:
            self.fail(str(error))
            return
        if self._reader.complete:
            self._take_answer(self._reader)

    def _take_answer(self, reader: AnswerReader) -> None:
        """End the call with its answer; an answer that may belong to another call leaves it in doubt."""
        if reader.is_followed:
            self._pool.note_unasked()
        if (reader.is_followed and self._answers) or self._has_acknowledged_nothing():
            self._pool.note_unasked()
            self.fail("the answer may be that of an earlier request: the server sent more answers than requests came")
            return
        waiter, self._waiter = self._waiter, None
        self._answers += 1
        self.idle_seconds = reader.idle_seconds
        keep = reader.keeps_connection and self._transport is not None and not self._transport.get_write_buffer_size()
        if waiter is not None and not waiter.done():
            try:
                waiter.set_result(reader.read())
            except UnreadableAnswerError as error:
                waiter.set_exception(InDoubtError(str(error)))
        self._pool.give_back(self, keep=keep)

    def _has_acknowledged_nothing(self) -> bool:
        """Return whether the server's kernel has certainly not received a byte of the request."""
        now = read_state(self._socket)
        return self._before is not None and now is not None and now.acked == self._before.acked

    def _has_sent_nothing(self) -> bool:
        now = read_state(self._socket)
        return self._before is not None and now is not None and now.sent == self._before.sent

    def eof_received(self) -> bool:
        """End the call in flight as never sent or in doubt; see asyncio.Protocol."""
        if self._waiter is None or self._reader is None:
            if not self.lost and self._answers:
                self._pool.note_closed(self._loop.time() - self.idle_since)
            return False
        self._reader.end()
        if self._reader.complete:
            self._take_answer(self._reader)
        elif self._before is not None and not self._waiter.done() and self._has_acknowledged_nothing():
            self._fail(EndedUnread(self._socket.dup(), self._before))
        return False  # the transport closes itself

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the pool; a call that is under way ends in doubt; see asyncio.Protocol."""
        self.lost = True
        self._pool.forget(self)
        self.fail(f"the connection was lost: {exc}" if exc else "the server closed the connection before it answered")

    def fail(self, what: str) -> None:
        """End the call that is under way, if there is one, in doubt; the connection is not used again."""
        self._fail(InDoubtError(what))

    def _fail(self, error: Exception) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        self.close()

    def close(self) -> None:
        """Close at once, without waiting for anything: after a timeout or an error."""
        if self._transport is not None and not self.lost:
            self.lost = True
            self._transport.abort()
