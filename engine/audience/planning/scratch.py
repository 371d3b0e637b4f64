"""Scratch: frames stored by shelf on the disk while the audience is planned.

Polars writes and reads them itself: as long as the system's cache holds the file, that takes half the CPU of keeping
them packed in memory of Python. They are appended to one file, and a shelf is read by its index: writing is sequential
for any number of shelves, and there is one file to remove.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Generic, Self, TypeVar

import polars as pl

from engine.store.files import PRIVATE_FILE

Label = TypeVar("Label")
_SHELF = "plan.shelf"


def divide(rows: pl.DataFrame, shelf: pl.Series) -> Iterator[tuple[int, pl.DataFrame]]:
    """Divide rows by their shelves: yield the number of each that has any, and its rows in their order."""
    # As partition_by, in half the time.
    ordered = rows.with_columns(shelf.alias(_SHELF)).sort(_SHELF, maintain_order=True)
    runs, ordered = ordered.get_column(_SHELF).rle().struct.unnest(), ordered.drop(_SHELF)
    start = 0
    for count, number in runs.iter_rows():
        yield number, ordered.slice(start, count)
        start += count


class Scratch(Generic[Label]):
    """Frames on shelves, each with a label for its reader. Thread-safe.

    Args:
        path: the file to create; closing scratch removes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        self._file = os.fdopen(descriptor, "w+b", buffering=0)
        self._lock = Lock()
        self._index: defaultdict[int, list[tuple[Label, int]]] = defaultdict(list)

    def __enter__(self) -> Self:
        """Open scratch."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the file."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def put(self, shelf: int, frame: pl.DataFrame, label: Label) -> None:
        """Store a frame; a shelf returns its frames in the order in which they were stored.

        Raises:
            OSError: the disk is full or failing.
        """
        with self._lock:
            self._index[shelf].append((label, self._file.seek(0, os.SEEK_END)))
            # Text as offsets, not as views: half the time and a fifth fewer bytes.
            frame.write_ipc_stream(self._file, compat_level=pl.CompatLevel.oldest())

    def take(self, shelf: int) -> list[tuple[Label, pl.DataFrame]]:
        """Return the frames of a shelf and remove them."""
        with self._lock:
            places = self._index.pop(shelf, [])
        if not places:
            return []
        with self._path.open("rb", buffering=0) as file:  # which another thread does not move
            return [(label, _read_from(file, offset)) for label, offset in places]

    def clear(self) -> None:
        """Remove all frames."""
        self._index.clear()
        self._file.truncate(0)


def _read_from(file: FileIO, offset: int) -> pl.DataFrame:
    file.seek(offset)
    return pl.read_ipc_stream(file)
