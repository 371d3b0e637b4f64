"""Scratch: frames stored by shelf while the audience is planned, in memory while there is room, then on the disk.

Frames on the disk are appended to one file, and a shelf is read by its index: writing is sequential for any number of
shelves, and there is one file to remove.
"""

import io
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Generic, Self, TypeVar

import polars as pl

from engine.store.files import PRIVATE_FILE

Label = TypeVar("Label")


def pack(frame: pl.DataFrame) -> bytes:
    """Serialise a frame for scratch, as an Arrow IPC stream."""
    buffer = io.BytesIO()
    # Text as offsets, not as views: half the time and a fifth fewer bytes (70 instead of 156 ns a row).
    frame.write_ipc_stream(buffer, compat_level=pl.CompatLevel.oldest())
    return buffer.getvalue()


# Memory that a plan's scratch uses before it writes to the disk.
MEMORY_BYTES = 256 << 20

# A frame for scratch in memory, or its bytes for the disk.
Set = pl.DataFrame | bytes


@dataclass(frozen=True, slots=True)
class _Fragment(Generic[Label]):
    """A frame in memory, or its position in the file."""

    label: Label
    frame: pl.DataFrame | None
    offset: int = 0
    size_bytes: int = 0


class Room:
    """The memory left for scratch. Thread-safe.

    Args:
        size_bytes: the total.
    """

    def __init__(self, size_bytes: int) -> None:
        self._size, self._left = size_bytes, size_bytes
        self._lock = Lock()

    def has_room_for(self, frame: pl.DataFrame) -> bool:
        """Reserve memory for a frame; returns whether there was enough."""
        size = int(frame.estimated_size())
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def empty(self) -> None:
        """Release all of the memory."""
        with self._lock:
            self._left = self._size


class Scratch(Generic[Label]):
    """Frames on shelves, each with a label for its reader.

    Args:
        path: the file to create; closing scratch removes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        self._end = 0
        self._lock = Lock()
        self._index: defaultdict[int, list[_Fragment[Label]]] = defaultdict(list)

    def __enter__(self) -> Self:
        """Open scratch."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the file."""
        os.close(self._file)
        self._path.unlink(missing_ok=True)

    def put(self, shelf: int, frame: Set, label: Label) -> None:
        """Store a frame; a shelf returns its frames in the order in which they were stored.

        Raises:
            OSError: the disk is full or failing.
        """
        if isinstance(frame, pl.DataFrame):
            with self._lock:
                self._index[shelf].append(_Fragment(label, frame))
            return
        with self._lock:
            offset, self._end = self._end, self._end + len(frame)
            self._index[shelf].append(_Fragment(label, None, offset, len(frame)))
        written = 0
        while written < len(frame):
            written += os.pwrite(self._file, memoryview(frame)[written:], offset + written)

    def take(self, shelf: int) -> list[tuple[Label, pl.DataFrame]]:
        """Return the frames of a shelf and remove them."""
        with self._lock:
            fragments = self._index.pop(shelf, [])
        return [(fragment.label, self._unpack(fragment)) for fragment in fragments]

    def _unpack(self, fragment: _Fragment[Label]) -> pl.DataFrame:
        if fragment.frame is not None:
            return fragment.frame
        return pl.read_ipc_stream(io.BytesIO(os.pread(self._file, fragment.size_bytes, fragment.offset)))

    def clear(self) -> None:
        """Remove all frames."""
        self._index.clear()
        os.ftruncate(self._file, 0)
        self._end = 0
