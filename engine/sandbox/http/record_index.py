"""The position of each message in the record, so that pages are shown without the record in memory."""

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from engine.sandbox.http.record import FILE_NAME, parse_line

CHUNK_BYTES = 1024 * 1024
MAX_SEARCHED = 100_000  # lines read for one page of a search; the next page begins there


class Found(NamedTuple):
    """A page of messages, newest first.

    Attributes:
        messages: line numbers and messages.
        more_before: the line number of the next page; None at the end.
    """

    messages: list[tuple[int, dict[str, Any]]]
    more_before: int | None


class RecordIndex:
    """The byte offsets of the lines of a record: eight bytes a message.

    Args:
        folder: the record's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._starts = array("Q", [0])  # of every whole line, and of the line that is not written yet
        self._inode = 0

    def refresh(self) -> int:
        """Read on from where the last call ended; return the number of whole lines."""
        try:
            state = self._path.stat()
        except FileNotFoundError:
            self._starts = array("Q", [0])
            return 0
        if state.st_ino != self._inode or state.st_size < self._starts[-1]:
            self._inode, self._starts = state.st_ino, array("Q", [0])
        with self._path.open("rb") as file:
            place = self._starts[-1]
            file.seek(place)
            while chunk := file.read(CHUNK_BYTES):
                self._starts.extend(place + at + 1 for at in _newlines(chunk))
                place += len(chunk)
        return len(self._starts) - 1

    def read(self, line: int) -> dict[str, Any] | None:
        """Return the message of a line number from 0; None when there is none."""
        if not 0 <= line < len(self._starts) - 1:
            return None
        with self._path.open("rb") as file:
            return self._read_from(file, line)

    def offset(self, line: int) -> int:
        """Return where a line that there is begins, in bytes."""
        return self._starts[line]

    def newest(self, *, before: int, limit: int, words: str = "") -> Found:
        """Return messages from a line number downwards.

        Args:
            before: only lines below this number.
            limit: how many messages at most.
            words: only messages with this text in the subject or an address, without case; empty for all.
        """
        if before <= 0:
            return Found([], None)
        found: list[tuple[int, dict[str, Any]]] = []
        wanted = words.casefold()
        line = before
        with self._path.open("rb") as file:
            while line > max(before - MAX_SEARCHED, 0) and len(found) < limit:
                line -= 1
                message = self._read_from(file, line)
                if message is not None and _matches(message, wanted):
                    found.append((line, message))
        return Found(found, line if line > 0 else None)

    def _read_from(self, file: BinaryIO, line: int) -> dict[str, Any] | None:
        file.seek(self._starts[line])
        return parse_line(file.read(self._starts[line + 1] - self._starts[line]))


def _newlines(chunk: bytes) -> Iterator[int]:
    at = chunk.find(b"\n")
    while at >= 0:
        yield at
        at = chunk.find(b"\n", at + 1)


def _matches(message: dict[str, Any], wanted: str) -> bool:
    if not wanted:
        return True
    texts = [message.get("subject") or "", message["from"], *message["to"]]
    return any(wanted in text.casefold() for text in texts)
