"""The HTTP carrier of the hot path: kept connections, one request at a time on each, and certainty about what was sent.

It owns its sockets, so it can determine whether the server may have received the request of a failed call. Servers
close kept connections without notice, and some answer twice. So a connection is used again only after it was quiet for
a moment, never when data waits to be read on it, and not after the time for which the server keeps it open.
docs/explanation/connections.md explains what is certain and what is in doubt.
"""

import asyncio
import itertools
import socket
import ssl
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from engine.delivery.pacing.concurrency import MOST
from engine.delivery.transports.connection import (
    ANSWER_SECONDS,
    CLOSED,
    Connection,
    InDoubtError,
    NeverSentError,
    Take,
    take_into,
)
from engine.delivery.transports.http_answer import HttpAnswer
from engine.delivery.transports.idle_connections import QUIET_SECONDS, IdleConnections
from engine.delivery.transports.socket_state import EndedUnread, connect
from engine.delivery.transports.tls_stream import TlsStream

CONNECT_SECONDS = 5.0  # name, TCP and TLS handshake together
NAMES_SECONDS = 30.0  # AWS recommends at most 60 s of DNS caching
SESSION_SECONDS = 60.0  # how long one TLS session is continued; servers issue them for hours
_SWEEP_SECONDS = 0.5
_HANDSHAKE_BYTES = 65_536

Address = tuple[int, Any]  # the family, and what `connect` takes


@dataclass(slots=True, kw_only=True)
class Carrier:
    """Connections to one host, opened as they are needed.

    A call never waits for another call's connection: the sender bounds how many calls there are.

    Attributes:
        host: a name or an address.
        port: TCP port.
        tls: None for plain HTTP.
        connect_seconds: for the name, TCP and TLS together.
        most_open: from so many connections on, one is used again at once.
        quiet_seconds: how long one must have been idle before it is used again.
        longest_seconds: how old a connection may be when it is used again; None for as old as it gets.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    connect_seconds: float = CONNECT_SECONDS
    most_open: int = 2 * MOST
    quiet_seconds: float = QUIET_SECONDS
    longest_seconds: float | None = None
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _idle: IdleConnections = field(init=False)
    _busy: set[Connection] = field(default_factory=set)
    _finishing: set[asyncio.Task[None]] = field(default_factory=set)
    _session: ssl.SSLSession | None = None
    _session_at: float = float("-inf")
    _addresses: list[Address] = field(default_factory=list)
    _resolved_at: float = float("-inf")
    _resolving: asyncio.Lock = field(default_factory=asyncio.Lock)
    _turn: "itertools.count[int]" = field(default_factory=itertools.count)
    _sweeper: asyncio.TimerHandle | None = None
    _keeps: bool = True  # until the server sends more answers than requests

    def __post_init__(self) -> None:
        self._idle = IdleConnections(self.quiet_seconds)

    @property
    def is_ready(self) -> bool:
        """Return whether `begin` is likely to find a kept connection."""
        return self._idle.is_ready

    @property
    def open_connections(self) -> int:
        """Count connections, busy and idle."""
        return len(self._idle) + len(self._busy)

    async def post(self, head: bytes, body: bytes) -> HttpAnswer:
        """Send one request and wait for its answer.

        Args:
            head: request line and headers, with the empty line that ends them.
            body: as many bytes as Content-Length gives.

        Raises:
            NeverSentError: no connection could be opened, or it was closed and the server certainly read nothing.
            InDoubtError: sending began, and no complete answer arrived in time.
        """
        if (kept := self._take_kept()) is None:
            return await self._post_on_new(head, body)
        try:
            return await self._post_on(kept, head, body)
        except (NeverSentError, EndedUnread) as error:
            return await self._post_again(error, head, body)

    def begin(self, head: bytes, body: bytes, take: Take) -> bool:
        """Send one request at once, on a kept connection, without a task.

        Args:
            head: as in `post`.
            body: as in `post`.
            take: receives once what `post` returns or raises; it may be called before this returns.

        Returns:
            False, and nothing was done, where no kept connection is free.
        """
        kept = self._take_kept()
        if kept is None:
            return False

        def check(answer: HttpAnswer | Exception) -> None:
            if isinstance(answer, (NeverSentError, EndedUnread)):
                self._finish(self._post_again(answer, head, body), take)
            else:
                take(answer)

        self._request(kept, head, body, check)
        return True

    def _take_kept(self) -> Connection | None:
        return self._idle.take(young=self.open_connections >= self.most_open)

    def _finish(self, post: Coroutine[Any, Any, HttpAnswer], take: Take) -> None:
        """Give what a coroutine returns or raises to `take`, from a task."""

        async def finish() -> None:
            try:
                answer: HttpAnswer | Exception = await post
            except Exception as error:  # noqa: BLE001 - as `post` raises it
                answer = error
            take(answer)

        task = self.loop.create_task(finish())
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)

    def _request(self, connection: Connection, head: bytes, body: bytes, take: Take) -> None:
        self._busy.add(connection)
        if self._sweeper is None:
            self._sweeper = self.loop.call_later(_SWEEP_SECONDS, self._sweep)
        connection.request(head, body, take)

    async def _post_on(self, connection: Connection, head: bytes, body: bytes) -> HttpAnswer:
        answered: asyncio.Future[HttpAnswer] = self.loop.create_future()
        self._request(connection, head, body, take_into(answered))
        try:
            return await answered
        except asyncio.CancelledError:
            connection.close()  # its answer would be read as the next call's
            raise

    async def _post_again(self, error: NeverSentError | EndedUnread, head: bytes, body: bytes) -> HttpAnswer:
        """Send a request again that a kept connection certainly did not deliver.

        The server closed it in that instant; a new one shows whether the server can be reached.
        """
        if isinstance(error, EndedUnread) and not await error.is_proven():
            raise InDoubtError(CLOSED) from None
        return await self._post_on_new(head, body)

    async def _post_on_new(self, head: bytes, body: bytes) -> HttpAnswer:
        try:
            return await self._post_on(await self._connect(), head, body)
        except EndedUnread as ended:
            if not await ended.is_proven():
                raise InDoubtError(CLOSED) from None
            raise NeverSentError(f"{self.host}:{self.port} had closed the connection") from None

    def give_back(self, connection: Connection, *, keep: bool) -> None:
        """Return a connection to the pool after its call."""
        self._busy.discard(connection)
        if keep and self._keeps and not connection.lost:
            self._idle.add(connection)
        else:
            connection.close()

    def note_unasked(self) -> None:
        """Record that the server sends unrequested data: from now on every call gets a new connection."""
        self._keeps = False
        for connection in self._idle.take_all():
            connection.close()

    def note_closed(self, idle_seconds: float) -> None:
        """Record after what idle time the server closed a connection."""
        self._idle.note_closed(idle_seconds)

    def forget(self, connection: Connection) -> None:
        """Drop a connection that is gone."""
        self._busy.discard(connection)
        self._idle.remove(connection)

    def close(self) -> None:
        """Close every connection; calls under way end in doubt."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for task in self._finishing:
            task.cancel()
        for connection in [*self._idle.take_all(), *self._busy]:
            connection.fail("the worker ended")
        self._busy.clear()

    async def _connect(self) -> Connection:
        try:
            async with asyncio.timeout(self.connect_seconds):
                connection = await self._connect_to_any(await self._resolve())
        except TimeoutError:
            self._resolved_at = float("-inf")
            raise NeverSentError(
                f"no connection to {self.host}:{self.port} within {self.connect_seconds:g} s"
            ) from None
        except OSError as error:
            self._resolved_at = float("-inf")  # the address may have changed: look it up again
            raise NeverSentError(f"no connection to {self.host}:{self.port}: {error}") from error
        if not connection.is_usable:
            raise NeverSentError(f"{self.host}:{self.port} closed the connection at once")
        return connection

    async def _connect_to_any(self, addresses: Sequence[Address]) -> Connection:
        """Connect to the first address that accepts: a machine may get IPv6 addresses and have no IPv6 route."""
        refused = OSError("the name has no address")
        for family, address in addresses:
            connected = None
            try:
                connected = socket.socket(family, socket.SOCK_STREAM)
                connected.setblocking(False)  # noqa: FBT003 - the name says it
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await connect(connected, address)
                tls = None if self.tls is None else await self._shake_hands(connected, self.tls)
            except OSError as error:
                refused = error
            except BaseException:
                if connected is not None:
                    connected.close()
                raise
            else:
                connection = Connection(self, connected, tls)
                if self.longest_seconds is not None:
                    connection.expires_at = monotonic() + self.longest_seconds
                return connection
            if connected is not None:
                connected.close()
        raise refused

    async def _shake_hands(self, connected: socket.socket, context: ssl.SSLContext) -> TlsStream:
        """Agree on keys, and verify the server; the session of an earlier connection saves most of the CPU."""
        stream, received, is_done = TlsStream(context, self.host, self._session), b"", False
        while not is_done:
            try:
                is_done = stream.shake_hands(received)
            finally:  # an alert says why this side refuses
                if stream.must_send:
                    await self.loop.sock_sendall(connected, stream.take_sealed())
            if not is_done:
                received = await self.loop.sock_recv(connected, _HANDSHAKE_BYTES)
                if not received:
                    raise ConnectionResetError("the server closed the connection during the TLS handshake")
        return stream

    def note_session(self, tls: TlsStream) -> None:
        """Keep the session of a TLS connection, which the next connections continue.

        One serves for a while: reading it costs half as much as a handshake that continues it.
        """
        now = monotonic()
        if now - self._session_at > SESSION_SECONDS and (session := tls.session) is not None:
            self._session, self._session_at = session, now

    async def _resolve(self) -> Sequence[Address]:
        """Return the host's addresses, rotated at each call; concurrent callers share one look-up."""
        async with self._resolving:
            now = monotonic()
            if now - self._resolved_at > NAMES_SECONDS:
                found = await self.loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
                self._addresses = list(dict.fromkeys((entry[0], entry[4]) for entry in found))
                self._resolved_at = now
        first = next(self._turn) % max(1, len(self._addresses))
        return self._addresses[first:] + self._addresses[:first]

    def _sweep(self) -> None:
        """End calls that have waited too long, and close idle connections before AWS does."""
        now = monotonic()
        for connection in [one for one in self._busy if one.deadline < now]:
            connection.fail(f"no answer within {ANSWER_SECONDS:g} s")
        self._idle.close_stale()
        again = self._busy or self._idle
        self._sweeper = self.loop.call_later(_SWEEP_SECONDS, self._sweep) if again else None
