"""The HTTP carrier of the hot path: kept connections, one request at a time on each, and certainty about what was sent.

An asyncio protocol over httptools (llhttp). It owns its sockets, so it knows the one thing that matters about a failed
call: whether a byte of the request had been given to the connection. Before that, the message was certainly never sent;
after it, it is in doubt. docs/delivery.md has the measurements that chose it.
"""

import asyncio
import itertools
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import httptools

CONNECT_SECONDS = 5.0  # name, TCP and TLS handshake together
ANSWER_SECONDS = 30.0  # from writing the request to the end of its answer; SES answers in well under a second
IDLE_SECONDS = 12.0  # AWS closes idle connections after 20 s; using one in that instant would leave a call in doubt
NAMES_SECONDS = 30.0  # AWS asks for at most 60 s of DNS caching
LARGEST_ANSWER = 1_000_000  # bytes; the largest answer of a bulk call has some 10,000
_SWEEP_SECONDS = 0.5


class NeverSentError(Exception):
    """Not a byte of the request was given to a connection."""


class InDoubtError(Exception):
    """The request was begun, and no whole answer came."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer that arrived whole.

    Attributes:
        status: the HTTP status.
        error_type: the header `x-amzn-ErrorType`; empty where there is none.
        body: its bytes.
    """

    status: int
    error_type: str
    body: bytes


class _Connection(asyncio.Protocol):
    """One connection; httptools calls its `on_…` methods while it is fed."""

    def __init__(self, carrier: "Carrier") -> None:
        self._carrier = carrier
        self._loop = carrier.loop
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._error_type = b""
        self.deadline = 0.0
        self.idle_since = 0.0
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP and TLS transports are
        self._transport = transport
        transport.set_write_buffer_limits(high=2**30)  # the request is one write; nobody waits for the buffer

    def request(self, head: bytes, body: bytes) -> asyncio.Future[Answer]:
        """Write a request; returns what its answer will be."""
        assert self._transport is not None  # noqa: S101 - made before it is handed out
        self._waiter = self._loop.create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._body, self._size, self._error_type = [], 0, b""
        self.deadline = self._loop.time() + ANSWER_SECONDS
        self._transport.write(head + body)
        return self._waiter

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._parser is None:
            self.close()  # an answer that nobody asked for: what follows on this connection cannot be trusted
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fail(f"the answer is not HTTP: {error}")

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-amzn-errortype":
            self._error_type = value

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._size += len(body)
        if self._size > LARGEST_ANSWER:
            raise ValueError("the answer does not end")

    def on_message_complete(self) -> None:
        parser, waiter = self._parser, self._waiter
        assert parser is not None  # noqa: S101 - it is what calls
        status = parser.get_status_code()
        if 100 <= status < 200 or waiter is None:  # an interim answer; the real one follows
            self._body, self._size, self._error_type = [], 0, b""
            return
        keep = parser.should_keep_alive() and not self._transport_is_writing()
        self._waiter = None
        if not waiter.done():
            waiter.set_result(Answer(status, self._error_type.decode("latin-1"), b"".join(self._body)))
        self._carrier.give_back(self, keep=keep)

    def _transport_is_writing(self) -> bool:
        return self._transport is None or self._transport.get_write_buffer_size() > 0

    def eof_received(self) -> bool:
        return False  # the transport closes itself

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._carrier.forget(self)
        self.fail(f"the connection was lost: {exc}" if exc else "SES closed the connection before it answered")

    def fail(self, what: str) -> None:
        """End the call that is under way, if there is one, in doubt; the connection is not used again."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(InDoubtError(what))
        self.close()

    def close(self) -> None:
        """Close at once: after a timeout or a mishap nothing may be waited for."""
        if self._transport is not None and not self.lost:
            self.lost = True
            self._transport.abort()


@dataclass(slots=True, kw_only=True)
class Carrier:
    """Connections to one host, opened as they are needed; idle ones are used again, the last one first.

    A call never waits for another call's connection: whoever sends bounds how many calls there are.

    Attributes:
        host: a name or an address.
        port: TCP port.
        tls: None for plain HTTP.
        connect_seconds: for the name, TCP and TLS together.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    connect_seconds: float = CONNECT_SECONDS
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _idle: deque[_Connection] = field(default_factory=deque)
    _busy: set[_Connection] = field(default_factory=set)
    _addresses: list[str] = field(default_factory=list)
    _resolved_at: float = float("-inf")
    _resolving: asyncio.Lock = field(default_factory=asyncio.Lock)
    _turn: "itertools.count[int]" = field(default_factory=itertools.count)
    _sweeper: asyncio.TimerHandle | None = None

    @property
    def open_connections(self) -> int:
        """Count connections, busy and idle."""
        return len(self._idle) + len(self._busy)

    async def post(self, head: bytes, body: bytes) -> Answer:
        """Send one request and wait for its answer.

        Args:
            head: request line and headers, with the empty line that ends them.
            body: as many bytes as Content-Length says.

        Raises:
            NeverSentError: no connection could be had.
            InDoubtError: the request was begun, and no whole answer came in time.
        """
        connection = self._take_idle() or await self._connect()
        if connection.lost:
            raise NeverSentError(f"{self.host}:{self.port} closed the connection at once")
        self._busy.add(connection)
        if self._sweeper is None:
            self._sweeper = self.loop.call_later(_SWEEP_SECONDS, self._sweep)
        try:
            return await connection.request(head, body)
        except asyncio.CancelledError:
            connection.close()  # its answer would be taken for the next call's
            raise

    def give_back(self, connection: _Connection, *, keep: bool) -> None:
        """Take a connection back whose call has ended."""
        self._busy.discard(connection)
        if keep and not connection.lost:
            connection.idle_since = self.loop.time()
            self._idle.append(connection)
        else:
            connection.close()

    def forget(self, connection: _Connection) -> None:
        """Drop a connection that is gone."""
        self._busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Close every connection; calls under way end in doubt."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in [*self._idle, *self._busy]:
            connection.fail("the worker ended")
        self._idle.clear()
        self._busy.clear()

    def _take_idle(self) -> _Connection | None:
        oldest_usable = self.loop.time() - IDLE_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if not connection.lost and connection.idle_since >= oldest_usable:
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        try:
            async with asyncio.timeout(self.connect_seconds):
                return await self._connect_to_any(await self._resolve())
        except TimeoutError:
            self._resolved_at = float("-inf")
            raise NeverSentError(
                f"no connection to {self.host}:{self.port} within {self.connect_seconds:g} s"
            ) from None
        except (OSError, ssl.SSLError) as error:
            self._resolved_at = float("-inf")  # the address may have gone: ask again
            raise NeverSentError(f"no connection to {self.host}:{self.port}: {error}") from error

    async def _connect_to_any(self, addresses: Sequence[str]) -> _Connection:
        """Connect to the first address that takes it: a machine may have IPv6 addresses and no way to them."""
        refused = OSError("the name has no address")
        for address in addresses:
            try:
                _, connection = await self.loop.create_connection(
                    lambda: _Connection(self),
                    address,
                    self.port,
                    ssl=self.tls,
                    server_hostname=self.host if self.tls else None,
                )
            except OSError as error:
                refused = error
            else:
                return connection
        raise refused

    async def _resolve(self) -> Sequence[str]:
        """Return the host's addresses, beginning with each in its turn; one question serves all who wait for it."""
        async with self._resolving:
            now = self.loop.time()
            if now - self._resolved_at > NAMES_SECONDS:
                found = await self.loop.getaddrinfo(self.host, self.port, type=1)
                self._addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
                self._resolved_at = now
        first = next(self._turn) % max(1, len(self._addresses))
        return self._addresses[first:] + self._addresses[:first]

    def _sweep(self) -> None:
        """End calls that have waited too long, and close idle connections before AWS does."""
        now = self.loop.time()
        for connection in [one for one in self._busy if one.deadline < now]:
            connection.fail(f"no answer within {ANSWER_SECONDS:g} s")
        while self._idle and self._idle[0].idle_since < now - IDLE_SECONDS:
            self._idle.popleft().close()
        again = self._busy or self._idle
        self._sweeper = self.loop.call_later(_SWEEP_SECONDS, self._sweep) if again else None
