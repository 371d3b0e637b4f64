"""One kept HTTP connection: a request is written at once, and whether the server received it is certain or in doubt.

It reads and writes its socket itself. So it knows which bytes the kernel has taken, and a call costs one write and one
read. The event loop only reports when the socket can be read.
"""

import asyncio
import socket
from collections.abc import Callable
from time import monotonic
from typing import Protocol, TypeAlias

from engine.delivery.transports.http_answer import AnswerReader, HttpAnswer, UnreadableAnswerError, read_usual
from engine.delivery.transports.socket_state import EndedUnread, count_unacknowledged, make_poll, read_state
from engine.delivery.transports.tls_stream import TlsStream

ANSWER_SECONDS = 30.0  # from writing the request to the end of its answer; SES answers in well under a second
_READ_BYTES = 65_536
_MOST_READS = 8  # of what arrived while a connection was idle: two tickets and an end are three
CLOSED = "the server closed the connection before it answered"


Take: TypeAlias = Callable[[HttpAnswer | Exception], None]
"""Receives the answer to a request, or NeverSentError, InDoubtError or EndedUnread."""


def take_into(answered: "asyncio.Future[HttpAnswer]") -> Take:
    """Return a function that ends a future with an answer or a failure."""

    def take(answer: HttpAnswer | Exception) -> None:
        if isinstance(answer, Exception):
            answered.set_exception(answer)
        else:
            answered.set_result(answer)

    return take


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

    def note_session(self, tls: TlsStream) -> None:
        """Record that a TLS connection has its session, which the next connection may continue."""


class Connection:
    """One connection.

    Attributes:
        deadline: when the answer must have arrived, by the monotonic clock.
        idle_since: when it was used last, by the monotonic clock.
        idle_seconds: how long the server announced to keep it open; None where it announced nothing.
        expires_at: when it is too old to be used again, by the monotonic clock.
        lost: it is closed.

    Args:
        pool: gets it back.
        connected: its socket, which does not block.
        tls: after its handshake; None for plain HTTP.
    """

    def __init__(self, pool: Pool, connected: socket.socket, tls: TlsStream | None) -> None:
        self._pool = pool
        self._loop = pool.loop
        self._socket = connected
        self._descriptor = connected.fileno()
        self._poll = make_poll(self._descriptor)
        self._tls = tls
        self._take: Take | None = None
        self._reader: AnswerReader | None = None  # for an answer that is not of the usual form
        self._unsent = b""  # what the kernel has not taken yet
        self._taken = 0  # bytes of the request that it has
        self._answers = 0
        self.deadline = 0.0
        self.idle_since = 0.0
        self.idle_seconds: float | None = None
        self.expires_at = float("inf")
        self.lost = False
        self._loop.add_reader(self._descriptor, self._receive)

    @property
    def is_usable(self) -> bool:
        """Return whether a request may be written: the server has neither closed the connection nor sent anything.

        Session tickets of TLS may wait to be read, and are.
        """
        for _ in range(_MOST_READS):
            if self.lost or not self._poll.poll(0):
                break
            self._receive()
        return not self.lost

    def request(self, head: bytes, body: bytes, take: Take) -> None:
        """Write a request; `take` gets its answer or its failure, once, and nothing after `close`."""
        self._take = take
        self._reader = None
        self._taken = 0
        self.deadline = monotonic() + ANSWER_SECONDS
        data = head + body
        try:
            self._send(data if self._tls is None else self._tls.seal(data))
        except OSError as error:
            self._lose(error)

    def _send(self, data: bytes) -> None:
        """Write, as far as the kernel takes it; the rest is written when it can be.

        Raises:
            OSError: the connection is broken.
        """
        if self._unsent:
            self._unsent += data
            return
        try:
            taken = self._socket.send(data)
        except BlockingIOError:
            taken = 0
        self._taken += taken
        if taken < len(data):
            self._unsent = data[taken:]
            self._loop.add_writer(self._descriptor, self._send_rest)

    def _send_rest(self) -> None:
        data, self._unsent = self._unsent, b""
        self._loop.remove_writer(self._descriptor)
        try:
            self._send(data)
        except OSError as error:
            self._lose(error)

    def _receive(self) -> None:
        """Read what has arrived."""
        try:
            data = self._socket.recv(_READ_BYTES)
            has_ended = not data
            if self._tls is not None and data:
                data = self._tls.open(data)
                has_ended = self._tls.has_ended
                if self._tls.must_send:
                    self._send(self._tls.take_sealed())
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        if data:
            self._read_answer(data)
        if has_ended and not self.lost:
            self._end()

    def _read_answer(self, data: bytes) -> None:
        if self._take is None:
            self._pool.note_unasked()
            self.close()  # an unrequested answer: what follows on this connection cannot be trusted
            return
        reader = self._reader
        if reader is None:
            usual = read_usual(data)
            if usual is not None:
                self._take_answer(usual, keep=True)
                return
            reader = self._reader = AnswerReader()
        try:
            reader.feed(data)
        except UnreadableAnswerError as error:
            self.fail(str(error))
            return
        if reader.complete:
            self._take_read(reader)

    def _take_read(self, reader: AnswerReader) -> None:
        if reader.is_followed:
            self._pool.note_unasked()
        self.idle_seconds = reader.idle_seconds
        try:
            answer: HttpAnswer | Exception = reader.read()
        except UnreadableAnswerError as error:
            answer = InDoubtError(str(error))
        self._take_answer(answer, keep=reader.keeps_connection, is_followed=reader.is_followed)

    def _take_answer(self, answer: HttpAnswer | Exception, *, keep: bool, is_followed: bool = False) -> None:
        """End the call with its answer; an answer that may belong to another call leaves it in doubt."""
        if (is_followed and self._answers) or self._has_acknowledged_nothing():
            self._pool.note_unasked()
            self.fail("the answer may be that of an earlier request: the server sent more answers than requests came")
            return
        take, self._take = self._take, None
        self._answers += 1
        if self._tls is not None and self._answers == 1:
            self._pool.note_session(self._tls)
        self._pool.give_back(self, keep=keep and not self._unsent)
        if take is not None:
            take(answer)

    def _has_acknowledged_nothing(self) -> bool:
        """Return whether the server's kernel has certainly not received a byte of the request."""
        return 0 < self._taken <= count_unacknowledged(self._descriptor)

    def _end(self) -> None:
        """End the call in flight as answered, as never sent or in doubt: the server has closed its stream."""
        if self._take is None:
            if self._answers:
                self._pool.note_closed(monotonic() - self.idle_since)
            self.close()
            return
        if self._reader is not None and (self._tls is None or self._tls.has_ended):
            self._reader.end()
            if self._reader.complete:
                self._take_read(self._reader)
                return
        state = read_state(self._socket)
        if state is not None and self._has_acknowledged_nothing():  # in this order: it had not when the state was read
            self._fail(EndedUnread(self._socket.dup(), state))
        else:
            self.fail(CLOSED)

    def _lose(self, error: OSError) -> None:
        """End the call that is under way after an error of the socket, or of TLS."""
        if self._taken:
            self.fail(f"the connection was lost: {error}")
        else:
            self._fail(NeverSentError(f"the connection was lost before a byte of the request had left: {error}"))

    def fail(self, what: str) -> None:
        """End the call that is under way, if there is one, in doubt; the connection is not used again."""
        self._fail(InDoubtError(what))

    def _fail(self, error: Exception) -> None:
        take = self._take
        self.close()
        if take is not None:
            take(error)

    def close(self) -> None:
        """Close at once, without waiting for anything."""
        if self.lost:
            return
        self.lost, self._take = True, None
        self._loop.remove_reader(self._descriptor)
        if self._unsent:
            self._loop.remove_writer(self._descriptor)
        self._socket.close()
        self._pool.forget(self)
