"""Standard streams that never stop a command, even if one is closed, its disk is full or its reader has ended."""

import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


class LastingFile(io.RawIOBase):
    """A file descriptor for writing; after the first failure the rest is discarded, and the failure is kept.

    Args:
        descriptor: stays open.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.failure: OSError | None = None

    def write(self, data: "Buffer") -> int:
        """Write some bytes; never raises."""
        view = memoryview(data)
        if self.failure is None:
            try:
                return self._write_when_ready(view)
            except OSError as error:
                self.failure = error
        return len(view)

    def _write_when_ready(self, view: memoryview) -> int:
        while True:
            try:
                return os.write(self._descriptor, view)
            except BlockingIOError:  # a pipe that another process made non-blocking
                select.select([], [self._descriptor], [])

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """Return True."""
        return True


def make_output_lasting() -> None:
    """Replace stdout and stderr with streams that never raise, and closed standard streams with empty ones."""
    _open_closed()
    sys.stdout, sys.stderr = _make_lasting(sys.stdout), _make_lasting(sys.stderr)


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a standard stream is a terminal; a closed one is not."""
    return stream is not None and not stream.closed and stream.isatty()


def _open_closed() -> None:
    """Open /dev/null for each standard stream that was closed before the command started.

    Otherwise the next file that is opened has the number of that stream, and worker processes inherit it as theirs.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest free number: that of the stream
            os.set_inheritable(descriptor, descriptor == number)
            setattr(sys, name, open(descriptor, "w" if number else "r", encoding="utf-8"))  # noqa: PTH123, SIM115 - till exit


def find_lost_output() -> OSError | None:
    """Return why output on stdout was lost; None where it was not, or where its reader closed the pipe."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    failure = raw.failure if isinstance(raw, LastingFile) else None
    return None if failure is None or failure.errno == errno.EPIPE else failure


def _make_lasting(stream: TextIO) -> TextIO:
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:  # in a program that calls main itself and captures the output
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(LastingFile(descriptor)),
        encoding=stream.encoding,
        errors="backslashreplace",  # a terminal that is not UTF-8 never stops a command
        line_buffering=True,
    )
