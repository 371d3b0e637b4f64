"""Scratch: what does not fit into memory, set aside by shelf on the disk while the audience is planned.

Everything goes to the end of one file, and a shelf is read by its index: writing is sequential whatever the number of
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

from engine.store.folder import PRIVATE_FILE

Label = TypeVar("Label")


def pack(frame: pl.DataFrame) -> bytes:
    """Write a frame as bytes for scratch: an Arrow IPC stream, LZ4 where the disk would be slower than that."""
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer)
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class _Fragment(Generic[Label]):
    offset: int
    size_bytes: int
    label: Label


class Scratch(Generic[Label]):
    """Frames on shelves; each has a label, that is what its reader has to know about it.

    Args:
        path: the file to make; it is removed when scratch is closed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
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
            offset, self._end = self._end, self._end + len(packed)
            self._index[shelf].append(_Fragment(offset, len(packed), label))
        written = 0
        while written < len(packed):
            written += os.pwrite(self._file, memoryview(packed)[written:], offset + written)

    def take(self, shelf: int) -> list[tuple[Label, pl.DataFrame]]:
        """Read the frames of a shelf."""
        return [
            (fragment.label, pl.read_ipc_stream(io.BytesIO(os.pread(self._file, fragment.size_bytes, fragment.offset))))
            for fragment in self._index.get(shelf, ())
        ]

    def clear(self) -> None:
        """Forget everything."""
        self._index.clear()
        os.ftruncate(self._file, 0)
        self._end = 0
