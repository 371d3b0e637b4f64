"""The mark of an open lease, beside the outcomes: up to where the ledger's journal was durable.

It survives the ledger, so that a ledger restored from a backup is recognized as older than what was sent.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from engine.store.files import PRIVATE_FILE, PRIVATE_FOLDER, sync_folder, translate_os_errors


class Mark(Protocol):
    """The mark of an open lease."""

    def advance(self, sequence: int) -> None:
        """Record up to where the journal is durable."""

    def finish(self) -> None:
        """Record that nothing more is sent under this lease."""

    def close(self) -> None:
        """Release the mark; it stays in the store."""


class FileMark:
    """A mark in a file.

    It is not flushed to the disk: if the machine fails it may lag behind the ledger, never be ahead of it.
    """

    def __init__(self, path: Path) -> None:
        with translate_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
            if not os.pread(self._file, 1, 0):  # reserves its space, so that a full disk cannot fail a later write
                os.pwrite(self._file, b"%012d" % 0, 0)
            sync_folder(path.parent)
        self._path = path

    def advance(self, sequence: int) -> None:
        """Write the sequence in place: one write of a few bytes."""
        with translate_os_errors(self._path):
            os.pwrite(self._file, b"%012d" % sequence, 0)

    def finish(self) -> None:
        """Do nothing: the file has the sequence already."""

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class ObjectMark:
    """A mark in a bucket and on this machine: the object shows that the mark exists, the local file has its sequence.

    Args:
        path: the local file.
        write: writes the object.
    """

    def __init__(self, path: Path, write: Callable[[bytes], None]) -> None:
        self._file, self._write, self._sequence = FileMark(path), write, 0

    def advance(self, sequence: int) -> None:
        """Write the sequence on this machine."""
        self._file.advance(sequence)
        self._sequence = sequence

    def finish(self) -> None:
        """Write the sequence to the bucket as well, for a ledger that moves to another machine."""
        self._write(b"%012d" % self._sequence)

    def close(self) -> None:
        """Close the local file."""
        self._file.close()
