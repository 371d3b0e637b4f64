"""Find the columns of a Parquet file that Polars cannot read, in its footer (Thrift's compact protocol)."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

_MAGIC = b"PAR1"
_TAIL_BYTES = 8  # the footer's length and the magic
_SCHEMA = 2  # FileMetaData.schema
_NAME, _CHILDREN, _LOGICAL = 4, 5, 10  # SchemaElement.name, num_children, logicalType
_KNOWN_LOGICAL = 15  # the last member of LogicalType that Polars 2.1 knows: FLOAT16
_TYPES = {16: "VARIANT", 17: "GEOMETRY", 18: "GEOGRAPHY"}
_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12
_LONG_LIST = 15
_LONGEST_NUMBER = 70  # bits
_MOST_FOOTER = 64 << 20  # bytes: of some 500,000 chunks of columns


def find_unknown_types(path: Path) -> dict[str, str]:
    """Return the top-level columns whose type, or a part of it, Polars does not know yet: column -> type.

    Empty if the footer cannot be read.
    """
    try:
        elements = read_footer(path)[_SCHEMA]
        found: dict[str, str] = {}
        place, count = 1, elements[0].get(_CHILDREN, 0)  # the first element is the whole row
        for _ in range(count):
            end = _end_of(elements, place)
            kinds = {kind for element in elements[place:end] for kind in element.get(_LOGICAL, {})}
            unknown = {kind for kind in kinds if kind > _KNOWN_LOGICAL}
            if unknown:
                found[elements[place][_NAME].decode()] = _TYPES.get(min(unknown), "an unknown newer type")
            place = end
    except (OSError, LookupError, ValueError, RecursionError, struct.error):
        return {}
    return found


def _end_of(elements: list[dict[int, Any]], place: int) -> int:
    """Return the index of the element after a tree of elements."""
    left = 1
    while left:
        left += int(elements[place].get(_CHILDREN, 0)) - 1
        place += 1
    return place


def read_footer(path: Path) -> dict[int, Any]:
    """Read a file's FileMetaData, its members by number.

    Raises:
        ValueError, LookupError, struct.error: it is damaged.
    """
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(end - _TAIL_BYTES, 0))
        tail = file.read()
        if not tail.endswith(_MAGIC):
            raise ValueError("it is not a Parquet file")
        (length,) = struct.unpack("<I", tail[:4])
        if length > _MOST_FOOTER:
            raise ValueError("its footer is too large: it has too many row groups and columns")
        file.seek(end - _TAIL_BYTES - length)
        return ThriftReader(file.read(length)).read_struct()


class ThriftReader:
    """Reads values of Thrift's compact protocol. A struct becomes a mapping from field numbers to values."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def at(self) -> int:
        """The number of bytes read."""
        return self._at

    def read_struct(self) -> dict[int, Any]:
        """Read a struct.

        Raises:
            ValueError, LookupError: the data is damaged.
        """
        members: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) & 15 != _STOP:
            number = number + (head >> 4) if head >> 4 else _zigzag(self._varint())
            members[number] = self._value(head & 15)
        return members

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while shift < _LONGEST_NUMBER:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise ValueError("a number that is too long")

    def _value(self, kind: int) -> Any:
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        readers: dict[int, Callable[[], Any]] = {
            _BYTE: self._byte,
            _DOUBLE: lambda: self._bytes(8),
            _BINARY: lambda: self._bytes(self._varint()),
            _LIST: self._list,
            _SET: self._list,
            _MAP: self._map,
            _STRUCT: self.read_struct,
        }
        return readers.get(kind, lambda: _zigzag(self._varint()))()

    def _bytes(self, length: int) -> bytes:
        self._at += length
        return self._data[self._at - length : self._at]

    def _list(self) -> list[Any]:
        head = self._byte()
        size = head >> 4 if head >> 4 != _LONG_LIST else self._varint()
        kind = head & 15
        return [self._byte() == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind) for _ in range(size)]

    def _map(self) -> dict[Any, Any]:
        size = self._varint()
        kinds = self._byte() if size else 0
        return {self._value(kinds >> 4): self._value(kinds & 15) for _ in range(size)}


def _zigzag(number: int) -> int:
    return (number >> 1) ^ -(number & 1)
