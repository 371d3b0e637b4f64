"""A sink without a rate limit: the part of the SES API that a launch needs, as fast as one asyncio protocol can be.

Usage: python -m bench.sink LATENCY_SECONDS [CERTIFICATE_FILE]; prints its port. With a certificate and its key, in PEM,
it speaks TLS. Bodies are ignored, except that bytes and messages are counted. GET /figures returns both counts, and the
CPU seconds of its process.
"""

import asyncio
import itertools
import ssl
import sys
import time
from typing import cast

import orjson

from engine.system.event_loop import run_loop

_ACCOUNT = orjson.dumps(
    {
        "SendQuota": {"Max24HourSend": -1.0, "MaxSendRate": 1_000_000.0, "SentLast24Hours": 0.0},
        "ProductionAccessEnabled": True,
        "SendingEnabled": True,
        "EnforcementStatus": "HEALTHY",
    }
)
_IDENTITY = orjson.dumps({"IdentityType": "DOMAIN", "VerifiedForSendingStatus": True})
_ids = itertools.count()
_counts = {"messages": 0, "body_bytes": 0}


class Sink(asyncio.Protocol):
    """One connection."""

    def __init__(self, latency_seconds: float) -> None:
        self._latency = latency_seconds
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        while end >= 0:
            head = bytes(self._buffer[:end])
            at = head.lower().find(b"content-length:")
            size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + size:
                return
            body = bytes(self._buffer[end + 4 : end + 4 + size])
            del self._buffer[: end + 4 + size]
            self._answer(head, body)
            end = self._buffer.find(b"\r\n\r\n")

    def _answer(self, head: bytes, body: bytes) -> None:
        assert self._transport is not None
        answer = _make_answer(head, body)
        whole = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer
        )
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency, self._transport.write, whole)
        else:
            self._transport.write(whole)


def _make_answer(head: bytes, body: bytes) -> bytes:
    if head.startswith(b"GET /figures "):
        return orjson.dumps({**_counts, "cpu_seconds": time.process_time()})
    if head.startswith(b"GET"):
        return _ACCOUNT if b"/account" in head.split(b"\r\n", 1)[0] else _IDENTITY
    _counts["body_bytes"] += len(body)
    if b"outbound-bulk-emails" in head.split(b"\r\n", 1)[0]:
        entries = body.count(b'"Destination"')
        _counts["messages"] += entries
        made = ",".join(f'{{"Status":"SUCCESS","MessageId":"{_make_id()}"}}' for _ in range(entries))
        return f'{{"BulkEmailEntryResults":[{made}]}}'.encode()
    _counts["messages"] += 1
    return f'{{"MessageId":"{_make_id()}"}}'.encode()


def _make_id() -> str:
    return f"0100018f00000000-{next(_ids):08x}-0000-4000-8000-000000000000-000000"


async def serve(latency_seconds: float, certificate: str | None) -> None:
    tls = None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Sink(latency_seconds), "127.0.0.1", 0, backlog=2048, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    run_loop(serve(float(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
