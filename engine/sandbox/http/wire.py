"""Replies on the connection: complete, or damaged by a fault of the connection."""

import asyncio
import socket
import struct
import uuid
from collections.abc import Callable

from aiohttp import web

from engine.sandbox.http.replies import SandboxReply

_JSON = "application/json"
_HTML_PAGE = b"<!DOCTYPE html>\n<html><body><h1>It works</h1></body></html>\n"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, with no time: closing sends RST


async def deliver(request: web.BaseRequest, reply: SandboxReply, *, stopping: asyncio.Event) -> web.StreamResponse:
    """Return the response of a reply; a fault of the connection has happened when this returns.

    Args:
        request: the call.
        reply: its answer.
        stopping: set when the server stops; what is never answered waits for it.
    """
    if not reply.fault:
        return respond(reply)
    if reply.fault == "no_answer":
        await stopping.wait()
    transport = request.transport
    if transport is not None:
        act = _ACTS.get(reply.fault)
        if act is None:
            return respond(SandboxReply(200, b"" if reply.fault == "empty_200" else _HTML_PAGE))
        act(transport, reply)
    # The connection is closing: aiohttp will not write this.
    return web.Response()


def respond(reply: SandboxReply) -> web.Response:
    """Return the response of a reply that arrives complete."""
    headers = {"x-amzn-RequestId": str(uuid.uuid4())}
    if reply.error_code:
        headers["x-amzn-ErrorType"] = reply.error_code
    if reply.query_error:
        headers["x-amzn-query-error"] = reply.query_error
    kind = "text/html" if reply.body.startswith(b"<") else _JSON
    return web.Response(status=reply.status, body=reply.body, content_type=kind, headers=headers)


def _close(transport: asyncio.Transport, _: SandboxReply) -> None:
    transport.close()


def _reset(transport: asyncio.Transport, _: SandboxReply) -> None:
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


def _cut(transport: asyncio.Transport, reply: SandboxReply) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {_JSON}\r\nContent-Length: {len(reply.body)}\r\n\r\n".encode()
    transport.write(head + reply.body[: len(reply.body) // 2])
    transport.close()


_ACTS: dict[str, Callable[[asyncio.Transport, SandboxReply], None]] = {
    "drop_before": _close,
    "drop_after": _close,
    "no_answer": _close,
    "reset_after": _reset,
    "cut_200": _cut,
}
