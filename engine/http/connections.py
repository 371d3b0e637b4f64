"""Bounds of a server on the open network: the number of connections and their duration."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from msgspec import Struct

_PASSES = 3  # of the event loop, from accepting a connection to the server's knowing it
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: %d\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class ConnectionBounds(Struct, frozen=True):
    """The bounds of one server.

    Attributes:
        connections: at one time; further ones are answered 503 and closed before anything is read from them.
        idle_seconds: how long a connection may take to send the header of its next request.
        old_seconds: age at which a connection is closed with its next answer.
        total_seconds: age at which it is aborted; longer than `old_seconds` and one request.
        line_bytes: of a request line.
        field_bytes: of one header field.
        fields: header fields of a request.
        retry_seconds: the Retry-After of a server that is full.
    """

    connections: int = 256  # with a file each, far below the 1,024 that a process may have open
    idle_seconds: float = 15.0
    old_seconds: float = 60.0
    total_seconds: float = 120.0
    line_bytes: int = 4096
    field_bytes: int = 8190  # a common limit of servers; cookies of a domain are the largest
    fields: int = 64  # browsers send twenty, proxies add a few
    retry_seconds: int = 30


class BoundedServer(web.Server):
    """An HTTP server within bounds.

    Args:
        handle: answers a request.
        bounds: of its connections.
        **options: of aiohttp's server.
    """

    def __init__(
        self,
        handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        bounds: ConnectionBounds,
        **options: Any,
    ) -> None:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            response = await handle(request)
            if request.protocol in self._old:
                response.force_close()
            return response

        super().__init__(
            answer,
            keepalive_timeout=bounds.idle_seconds,
            max_line_size=bounds.line_bytes,
            max_field_size=bounds.field_bytes,
            max_headers=bounds.fields,
            auto_decompress=False,  # a few bytes could unpack to any number
            **options,
        )
        self._bounds = bounds
        self._old: set[RequestHandler] = set()
        self._timers: dict[RequestHandler, tuple[asyncio.TimerHandle, ...]] = {}

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Accept a connection, or refuse it where there are too many."""
        super().connection_made(handler, transport)
        if len(self._timers) >= self._bounds.connections:
            transport.write(_FULL % self._bounds.retry_seconds)
            transport.close()
            return
        loop = asyncio.get_running_loop()
        self._timers[handler] = (
            loop.call_later(self._bounds.old_seconds, self._old.add, handler),
            loop.call_later(self._bounds.total_seconds, transport.abort),
        )

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Cancel the timers of a connection that has ended."""
        for timer in self._timers.pop(handler, ()):
            timer.cancel()
        self._old.discard(handler)
        super().connection_lost(handler, exc)


async def stop_serving(runner: web.ServerRunner) -> None:
    """Stop listening, finish the requests in flight, and close every connection.

    Where a server of asyncio is closed between accepting a connection and making its transport, CPython 3.11 fails
    there in silence and leaves the connection open. So accepting ends first, and what was accepted becomes known.
    """
    loop = asyncio.get_running_loop()
    if isinstance(loop, asyncio.SelectorEventLoop):
        for site in runner.sites:
            server = site._server  # noqa: SLF001 - aiohttp shows the addresses alone
            for listening in server.sockets if isinstance(server, asyncio.Server) else ():
                loop.remove_reader(listening)
        for _ in range(_PASSES):
            await asyncio.sleep(0)
    await runner.cleanup()
