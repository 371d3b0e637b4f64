"""TCP connections as the kernel sees them: what waits to be read, and which bytes the peer has received.

Linux counts the bytes that the peer's kernel has acknowledged (TCP_INFO), and those that it has not (SIOCOUTQ, both
tcp(7)). On other systems, and where the counters are empty, nothing is proven, and the message stays in doubt.
"""

import asyncio
import fcntl
import os
import select
import socket
import struct
import sys
import termios
from typing import Any, NamedTuple, Protocol

VERDICT_SECONDS = 1.0  # a closed peer answers with a reset within one round trip
_FIRST_LOOK_SECONDS = 0.001
_TCP_INFO = getattr(socket, "TCP_INFO", None)
_LENGTH = 208  # of struct tcp_info up to tcpi_bytes_sent: Linux 4.19
_ACKED = struct.Struct("=B119xQ")  # tcpi_state, tcpi_bytes_acked
_CLOSED = 7  # TCP_CLOSE: after a reset
_COUNTS_UNACKED = sys.platform == "linux"
_count = bytearray(4)


class _HasOptions(Protocol):
    def getsockopt(self, level: int, option: int, length: int, /) -> bytes: ...


class SocketState(NamedTuple):
    """The counters of one connection.

    Attributes:
        closed: it was reset, or ended by both sides.
        acked: bytes that the peer's kernel has acknowledged, the SYN included.
    """

    closed: bool
    acked: int


def read_state(connected: _HasOptions | None) -> SocketState | None:
    """Read a connection's counters; None where the kernel does not keep them, or the socket is closed here."""
    if connected is None or _TCP_INFO is None:
        return None
    try:
        info = connected.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _LENGTH)
    except OSError:
        return None
    if len(info) < _LENGTH:
        return None
    state, acked = _ACKED.unpack_from(info)
    return SocketState(state == _CLOSED, acked) if acked else None  # 0: not counted, as a SYN would be


def count_unacknowledged(descriptor: int) -> int:
    """Count the bytes that were written and that the peer's kernel has not acknowledged; 0 where it is not known."""
    if not _COUNTS_UNACKED or descriptor < 0:
        return 0
    try:
        fcntl.ioctl(descriptor, termios.TIOCOUTQ, _count)
    except OSError:
        return 0
    return int.from_bytes(_count, sys.byteorder)


def make_poll(descriptor: int) -> select.poll:
    """Make a poll that reports whether something waits to be read: a byte, the end of the stream, an error."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | getattr(select, "POLLRDHUP", 0))
    return poll


def is_quiet(descriptor: int) -> bool:
    """Return whether nothing waits to be read: no byte, no end of the stream, no error."""
    return descriptor >= 0 and not make_poll(descriptor).poll(0)


async def connect(unconnected: socket.socket, address: Any) -> None:
    """Connect a socket that does not block. uvloop's own `sock_connect` looks numeric addresses up.

    Raises:
        OSError: nothing accepts connections there.
    """
    try:
        unconnected.connect(address)
    except BlockingIOError:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        loop.add_writer(unconnected.fileno(), done.set)
        try:
            await done.wait()
        finally:
            loop.remove_writer(unconnected.fileno())
        if error := unconnected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error)) from None


class EndedUnread(Exception):  # noqa: N818 - not an error yet: what it was is found out
    """The peer ended its stream and had not acknowledged a byte of the request.

    Args:
        kept: a duplicate of the socket, so that the connection stays open until the result of the request is known.
        before: its counters when not a byte of the request was acknowledged.
    """

    def __init__(self, kept: socket.socket, before: SocketState) -> None:
        super().__init__()
        self._kept = kept
        self._before = before

    async def is_proven(self) -> bool:
        """Find out whether the request was certainly not read: its bytes are answered by a reset, never acknowledged.

        A peer that closed the connection answers what still arrives with a reset. One that closed only its sending side
        may read on, and its kernel acknowledges what it gets: then nothing is proven.
        """
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + VERDICT_SECONDS, _FIRST_LOOK_SECONDS
        with self._kept:
            while (now := read_state(self._kept)) is not None and now.acked == self._before.acked:
                if now.closed:
                    return True
                if loop.time() >= until:
                    break
                await asyncio.sleep(pause)
                pause = min(2 * pause, 0.05)
        return False
