"""Standard streams that never end a command: closed ones, a full disk under stdout, a reader that has gone."""

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
        """Write some bytes; never raises for what is at the other end."""
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
            except BlockingIOError:  # a pipe that another process has made non-blocking
                select.select([], [self._descriptor], [])

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """Return True."""
        return True


def make_output_lasting() -> None:
    """Put streams that never raise in the place of stdout and stderr, and empty ones in the place of closed ones."""
    _open_closed()
    sys.stdout, sys.stderr = _make_lasting(sys.stdout), _make_lasting(sys.stderr)


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether a person is at a standard stream; nobody is at one that is closed."""
    return stream is not None and not stream.closed and stream.isatty()


def _open_closed() -> None:
    """Open /dev/null in the place of each standard stream that was closed before the command began.

    Otherwise the next file that is opened has the number of that stream, and worker processes inherit it as theirs.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest free number: that of the stream
            os.set_inheritable(descriptor, descriptor == number)
            setattr(sys, name, open(descriptor, "w" if number else "r", encoding="utf-8"))  # noqa: PTH123, SIM115 - till exit


def find_lost_output() -> OSError | None:
    """Return why what was printed on stdout did not arrive; None where it did, or where nobody wanted to read it."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    failure = raw.failure if isinstance(raw, LastingFile) else None
    return None if failure is None or failure.errno == errno.EPIPE else failure


def _make_lasting(stream: TextIO) -> TextIO:
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:  # of a program that calls main itself, and gathers what is printed
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(LastingFile(descriptor)),
        encoding=stream.encoding,
        errors="backslashreplace",  # a terminal that is not UTF-8 never ends a command
        line_buffering=True,
    )
