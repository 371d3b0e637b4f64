"""The decompressed size of a Parquet file, from its footer and page headers, before any page is decompressed.

The footer may be wrong: the size that is allocated is that of the page header. Both are read, and nothing between them.
Source: parquet-format's parquet.thrift (FileMetaData, RowGroup, ColumnChunk, ColumnMetaData, PageHeader).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from msgspec import Struct

from engine.audience.reading.binary.parquet_types import ThriftReader, read_footer

_SCHEMA, _ROW_GROUPS = 2, 4  # of FileMetaData
_COLUMNS = 1  # of RowGroup
_META = 3  # of ColumnChunk
_VALUES, _UNPACKED, _PACKED, _DATA_PAGE, _DICTIONARY_PAGE = 5, 6, 7, 9, 11  # of ColumnMetaData
_PAGE_UNPACKED, _PAGE_PACKED = 2, 3  # of PageHeader
_HEAD_BYTES = (1 << 12, 1 << 24)  # bytes to read of a page header, and bytes to read if that is not enough
_MOST_PAGES = 1_000_000  # a terabyte in pages of the usual size
_VALUE_BYTES = 16  # bytes of a text in memory, in addition to its characters


class GroupSize(Struct, frozen=True):
    """A row group: the decompressed size of its pages, and the number of their values."""

    unpacked: int
    values: int

    @property
    def memory(self) -> int:
        """Estimate its memory after decoding."""
        return max(self.unpacked, self.values * _VALUE_BYTES)


def count_columns(path: Path) -> int:
    """Count a file's columns, including nested ones.

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
    """Yield the decompressed size that each page header of a column chunk gives, as far as the headers can be read."""
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
    """Read a page header and its length; return None if there is no valid header: the rest cannot be read."""
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
