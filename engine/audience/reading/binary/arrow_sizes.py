"""The decompressed size of an Arrow file or stream, from its metadata, before any buffer is decompressed.

A compressed buffer begins with its own unpacked size, which decides how much memory is allocated. Metadata are
FlatBuffers; only the needed fields are read. Source: the Arrow Columnar Format, "Serialization and Interprocess
Communication", with Message.fbs and File.fbs.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

_MAGIC = b"ARROW1"
_TAIL = struct.Struct("<i6s")  # the footer's length and the magic
_DICTIONARY, _RECORDS = 2, 3  # Message.header_type
_BLOCK, _PAIR = struct.Struct("<qi4xq"), struct.Struct("<qq")  # Block; FieldNode and Buffer
_MOST_METADATA = 64 << 20


class BatchSize(Struct, frozen=True):
    """A batch: the decompressed size of its buffers, and the number of values of its columns."""

    unpacked: int
    values: int

    @property
    def memory(self) -> int:
        """Estimate its memory: columns of the type Null have no buffers."""
        return max(self.unpacked, self.values)


def read_batch_sizes(path: Path) -> Iterator[BatchSize]:
    """Read the size of every batch and dictionary.

    Raises:
        ValueError, LookupError, struct.error: the file is damaged.
    """
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            file.seek(0)
            yield from _read_stream(file)
            return
        end = file.seek(-_TAIL.size, 2)
        length, _ = _TAIL.unpack(file.read())
        file.seek(end - length)
        footer = _Table.root(_read_metadata(file, length))
        for field in (2, 3):  # Footer.dictionaries and recordBatches
            for offset, metadata, _ in footer.structs(field, _BLOCK):
                file.seek(offset)
                message = _read_message(file)
                if message is not None:
                    yield _measure(file, message, offset + metadata)


def _read_stream(file: BinaryIO) -> Iterator[BatchSize]:
    while (message := _read_message(file)) is not None:
        body = file.tell()
        if message.number(1, "<B") in (_DICTIONARY, _RECORDS):
            yield _measure(file, message, body)
        size = message.number(3, "<q")
        if size < 0:
            raise ValueError("a message of negative size")
        file.seek(body + size)


def _read_message(file: BinaryIO) -> "_Table | None":
    """Read the metadata of a message; return None at the end."""
    begin = file.read(4)
    if begin == b"\xff\xff\xff\xff":
        begin = file.read(4)
    length = int.from_bytes(begin, "little", signed=True) if len(begin) == 4 else 0
    return _Table.root(_read_metadata(file, length)) if length else None


def _read_metadata(file: BinaryIO, length: int) -> bytes:
    if not 0 < length <= _MOST_METADATA:
        raise ValueError("its metadata is damaged, or too large")
    return file.read(length)


def _measure(file: BinaryIO, message: "_Table", body: int) -> BatchSize:
    batch = message.table(2)
    if message.number(1, "<B") == _DICTIONARY:
        batch = batch.table(1)
    is_packed = batch.has(3)  # RecordBatch.compression
    unpacked = 0
    for offset, length in batch.structs(2, _PAIR):
        unpacked += _unpacked_size(file, body + offset, length) if is_packed and length else length
    return BatchSize(unpacked, sum(length for length, _ in batch.structs(1, _PAIR)))


def _unpacked_size(file: BinaryIO, at: int, length: int) -> int:
    file.seek(at)
    size = int.from_bytes(file.read(8), "little", signed=True)
    return max(size, length)  # -1: this buffer is not compressed


class _Table:
    """A table of a FlatBuffer: its fields by number."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        vtable = at - self._read("<i", at)
        size = self._read("<H", vtable)
        self._fields = struct.unpack_from(f"<{max(size // 2 - 2, 0)}H", data, vtable + 4) if vtable >= 0 else ()

    @classmethod
    def root(cls, data: bytes) -> "_Table":
        """The outermost table."""
        return cls(data, struct.unpack_from("<I", data)[0])

    def _read(self, kind: str, at: int) -> int:
        if at < 0:
            raise ValueError("its metadata is damaged")
        return int(struct.unpack_from(kind, self._data, at)[0])

    def has(self, field: int) -> bool:
        """Whether a field is set."""
        return field < len(self._fields) and self._fields[field] != 0

    def number(self, field: int, kind: str) -> int:
        """Read a number; 0 if it is not set."""
        return self._read(kind, self._at + self._fields[field]) if self.has(field) else 0

    def table(self, field: int) -> "_Table":
        """Read a nested table."""
        at = self._at + self._fields[field]
        return _Table(self._data, at + self._read("<I", at))

    def structs(self, field: int, kind: struct.Struct) -> Iterator[tuple[int, ...]]:
        """Read the structs of a vector; none if it is not set."""
        if not self.has(field):
            return
        at = self._at + self._fields[field]
        at += self._read("<I", at)
        for place in range(self._read("<I", at)):
            yield kind.unpack_from(self._data, at + 4 + place * kind.size)
