"""What a Parquet file unpacks to, from its footer and the heads of its pages, before any page is unpacked.

The footer may say what it likes; what is unpacked is what a page's head says. Both are read, and nothing between them.
Source: parquet-format's parquet.thrift (FileMetaData, RowGroup, ColumnChunk, ColumnMetaData, PageHeader).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from engine.audience.reading.binary.parquet_types import ThriftReader, read_footer

_SCHEMA, _ROW_GROUPS = 2, 4  # of FileMetaData
_COLUMNS = 1  # of RowGroup
_META = 3  # of ColumnChunk
_VALUES, _UNPACKED, _PACKED, _DATA_PAGE, _DICTIONARY_PAGE = 5, 6, 7, 9, 11  # of ColumnMetaData
_PAGE_UNPACKED, _PAGE_PACKED = 2, 3  # of PageHeader
_HEAD_BYTES = (1 << 12, 1 << 24)  # to read of a page's head, and where that is not enough
_MOST_PAGES = 1_000_000  # a terabyte in pages of the usual size
_VALUE_BYTES = 16  # of a text in memory, in addition to what it refers to


@dataclass(frozen=True, slots=True)
class GroupSize:
    """A row group: what its pages unpack to, and how many values they have."""

    unpacked: int
    values: int

    @property
    def memory(self) -> int:
        """About what it takes once it is decoded."""
        return max(self.unpacked, self.values * _VALUE_BYTES)


def count_columns(path: Path) -> int:
    """Count a file's columns, those within columns too.

    Raises:
        ValueError, LookupError, struct.error: the footer is damaged.
    """
    return len(read_footer(path)[_SCHEMA]) - 1


def read_group_sizes(path: Path) -> Iterator[GroupSize]:
    """Read the size of every row group.

    Raises:
        ValueError, LookupError, struct.error: the file is damaged.
    """
    with path.open("rb") as file:
        pages = 0
        for group in read_footer(path).get(_ROW_GROUPS, []):
            unpacked = values = 0
            for chunk in (chunk[_META] for chunk in group[_COLUMNS]):
                sizes = list(_read_page_sizes(file, chunk, _MOST_PAGES - pages))
                pages += len(sizes)
                unpacked += max(chunk[_UNPACKED], sum(sizes))
                values += chunk[_VALUES]
            yield GroupSize(unpacked, values)


def _read_page_sizes(file: BinaryIO, chunk: dict[int, Any], most: int) -> Iterator[int]:
    """Read what each page of a column's chunk says that it unpacks to, as far as its pages can be read."""
    begin = chunk[_DATA_PAGE]
    if 0 < chunk.get(_DICTIONARY_PAGE, 0) < begin:
        begin = chunk[_DICTIONARY_PAGE]
    at, end = begin, begin + chunk[_PACKED]
    while at < end:
        head, length = _read_head(file, at)
        if head is None:
            return
        if most <= 0:
            raise ValueError("it has too many pages")
        most -= 1
        yield head[_PAGE_UNPACKED]
        at += length + head[_PAGE_PACKED]


def _read_head(file: BinaryIO, at: int) -> tuple[dict[int, Any] | None, int]:
    """Read a page's head and its length; None where it is none: what follows cannot be read."""
    for size in _HEAD_BYTES:
        file.seek(at)
        reader = ThriftReader(file.read(size))
        try:
            head = reader.read_struct()
        except LookupError:
            continue  # its statistics may have long values
        except (ValueError, RecursionError):
            break
        return (head if min(head.get(_PAGE_PACKED, -1), head.get(_PAGE_UNPACKED, -1)) >= 0 else None), reader.at
    return None, 0
