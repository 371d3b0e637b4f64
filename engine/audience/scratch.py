"""Scratch: what is set aside by shelf while the audience is planned, in memory as far as that goes, then on the disk.

On the disk everything goes to the end of one file, and a shelf is read by its index: writing is sequential whatever
the number of shelves, and there is one file to remove.
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

from engine.store.folder import PRIVATE_FILE

Label = TypeVar("Label")


def pack(frame: pl.DataFrame) -> bytes:
    """Write a frame as bytes for scratch: an Arrow IPC stream."""
    buffer = io.BytesIO()
    # With offsets, and not views, for text: half the time and a fifth less (156 to 70 ns a row).
    frame.write_ipc_stream(buffer, compat_level=pl.CompatLevel.oldest())
    return buffer.getvalue()


# What all scratch of a plan may hold in memory before it turns to the disk.
MEMORY_BYTES = 192 << 20


@dataclass(frozen=True, slots=True)
class _Fragment(Generic[Label]):
    """A packed frame: itself while it is in memory, else where it is in the file."""

    label: Label
    packed: bytes | None
    offset: int = 0
    size_bytes: int = 0


class Scratch(Generic[Label]):
    """Frames on shelves; each has a label, that is what its reader has to know about it.

    Args:
        path: the file to make; it is removed when scratch is closed.
        memory_bytes: how much is held in memory before the file is used.
    """

    def __init__(self, path: Path, memory_bytes: int = 0) -> None:
        self._path = path
        self._memory_bytes, self._in_memory = memory_bytes, 0
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        self._end = 0
        self._lock = Lock()
        self._index: defaultdict[int, list[_Fragment[Label]]] = defaultdict(list)

    def __enter__(self) -> Self:
        """Begin to use it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the file."""
        os.close(self._file)
        self._path.unlink(missing_ok=True)

    def put(self, shelf: int, packed: bytes, label: Label) -> None:
        """Set aside a packed frame; frames of one shelf come back in the order in which they were put there.

        Raises:
            OSError: the disk is full or failing.
        """
        with self._lock:
            if self._in_memory + len(packed) <= self._memory_bytes:
                self._in_memory += len(packed)
                self._index[shelf].append(_Fragment(label, packed))
                return
            offset, self._end = self._end, self._end + len(packed)
            self._index[shelf].append(_Fragment(label, None, offset, len(packed)))
        written = 0
        while written < len(packed):
            written += os.pwrite(self._file, memoryview(packed)[written:], offset + written)

    def take(self, shelf: int) -> list[tuple[Label, pl.DataFrame]]:
        """Take the frames of a shelf; they are there no more."""
        with self._lock:
            fragments = self._index.pop(shelf, [])
            self._in_memory -= sum(len(fragment.packed) for fragment in fragments if fragment.packed)
        return [(fragment.label, self._unpack(fragment)) for fragment in fragments]

    def _unpack(self, fragment: _Fragment[Label]) -> pl.DataFrame:
        packed = fragment.packed or os.pread(self._file, fragment.size_bytes, fragment.offset)
        return pl.read_ipc_stream(io.BytesIO(packed))

    def clear(self) -> None:
        """Forget everything."""
        self._index.clear()
        self._in_memory = 0
        os.ftruncate(self._file, 0)
        self._end = 0
