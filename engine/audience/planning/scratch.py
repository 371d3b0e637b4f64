"""Scratch: frames stored by shelf while the audience is planned, in memory while there is room, then on the disk.

Frames are stored packed, so that the texts of a shelf are together in memory, too: reading texts that lie apart takes
longer than packing them. On the disk they are appended to one file, and a shelf is read by its index: writing is
sequential for any number of shelves, and there is one file to remove.
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
MEMORY_BYTES = 128 << 20


@dataclass(frozen=True, slots=True)
class _Fragment(Generic[Label]):
    """A packed frame in memory, or its position in the file."""

    label: Label
    packed: bytes | None
    offset: int
    size_bytes: int


class Room:
    """The memory left for scratch. Thread-safe.

    Args:
        size_bytes: the total.
    """

    def __init__(self, size_bytes: int) -> None:
        self._left = size_bytes
        self._lock = Lock()

    def take(self, size_bytes: int) -> bool:
        """Take memory; returns whether there was enough."""
        with self._lock:
            is_enough = size_bytes <= self._left
            self._left -= size_bytes if is_enough else 0
            return is_enough

    def give_back(self, size_bytes: int) -> None:
        """Give memory back."""
        with self._lock:
            self._left += size_bytes


class Scratch(Generic[Label]):
    """Frames on shelves, each with a label for its reader.

    Args:
        path: the file to create; closing scratch removes it.
        room: memory to use before the file.
    """

    def __init__(self, path: Path, room: Room) -> None:
        self._path, self._room = path, room
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

    def put(self, shelf: int, packed: bytes, label: Label) -> None:
        """Store a packed frame; a shelf returns its frames in the order in which they were stored.

        Raises:
            OSError: the disk is full or failing.
        """
        size = len(packed)
        if self._room.take(size):
            with self._lock:
                self._index[shelf].append(_Fragment(label, packed, 0, size))
            return
        with self._lock:
            offset, self._end = self._end, self._end + size
            self._index[shelf].append(_Fragment(label, None, offset, size))
        written = 0
        while written < size:
            written += os.pwrite(self._file, memoryview(packed)[written:], offset + written)

    def take(self, shelf: int) -> list[tuple[Label, pl.DataFrame]]:
        """Return the frames of a shelf and remove them."""
        with self._lock:
            fragments = self._index.pop(shelf, [])
        return [(fragment.label, self._unpack(fragment)) for fragment in fragments]

    def _unpack(self, fragment: _Fragment[Label]) -> pl.DataFrame:
        if fragment.packed is None:
            return pl.read_ipc_stream(os.pread(self._file, fragment.size_bytes, fragment.offset))
        self._room.give_back(fragment.size_bytes)
        return pl.read_ipc_stream(fragment.packed)

    def clear(self) -> None:
        """Remove all frames."""
        for fragments in self._index.values():
            self._room.give_back(sum(item.size_bytes for item in fragments if item.packed is not None))
        self._index.clear()
        os.ftruncate(self._file, 0)
        self._end = 0
