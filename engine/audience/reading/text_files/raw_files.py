"""Read the bytes of files, decompressed, up to a limit."""

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from engine.errors import DataError
from engine.read_limits import ReadLimits

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
Read = TypeVar("Read")


@contextmanager
def open_raw(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading bytes; decompress gzip and Zstandard."""
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic.startswith(_GZIP):
            with gzip.open(file, "rb") as unpacked:
                yield cast("BinaryIO", unpacked)
        elif magic == _ZSTD:
            with zstd.open(file, "rb") as unpacked:
                yield cast("BinaryIO", unpacked)
        else:
            yield file


@contextmanager
def open_limited(path: Path, name: str, limits: ReadLimits) -> Iterator[BinaryIO]:
    """Open a file as `open_raw` does, with a limit on its decompressed size.

    Raises:
        DataError: it exceeds the limit; raised while reading.
    """
    with open_raw(path) as file:
        is_packed = not isinstance(file, io.BufferedReader)
        yield cast("BinaryIO", CountedFile(file, path.stat().st_size, name, limits)) if is_packed else file


class CountedFile:
    """A compressed file that counts its decompressed bytes."""

    def __init__(self, file: BinaryIO | gzip.GzipFile, packed: int, name: str, limits: ReadLimits) -> None:
        self._file, self._packed, self._name, self._limits = file, packed, name, limits
        self._unpacked = 0

    def _count(self, size: int) -> None:
        self._unpacked += size
        self._limits.check_unpacked(self._unpacked, self._packed, self._name)

    def read(self, size: int) -> bytes:
        """Read up to this many bytes."""
        data = self._file.read(size)
        self._count(len(data))
        return data

    def readinto1(self, free: memoryview) -> int:
        """Fill memory with a single read."""
        count = int(self._file.readinto1(free))  # type: ignore[union-attr] # both types have it
        self._count(count)
        return count

    def readline(self, size: int) -> bytes:
        """Read a line, up to this many bytes."""
        line = self._file.readline(size)
        self._count(len(line))
        return line


def is_compressed(path: Path) -> bool:
    """Return whether the file's first bytes are those of gzip or Zstandard."""
    with path.open("rb") as file:
        magic = file.read(4)
    return magic.startswith(_GZIP) or magic == _ZSTD


def read_into(file: BinaryIO, free: memoryview) -> int:
    """Fill memory up to the end of the file, or up to the end of a truncated compressed file."""
    count = 0
    while count < len(free):
        try:
            more = file.readinto1(free[count:])  # type: ignore[attr-defined] # every buffered file has it
        except EOFError:
            if count:
                break
            raise
        if not more:
            break
        count += more
    return count


def read_bytes(file: BinaryIO, size: int, name: str, *, lenient: bool) -> bytes:
    """Read this many bytes, or fewer at the end of the file.

    Raises:
        DataError: it is compressed and damaged, or truncated and not `lenient`.
    """
    buffer = bytearray(size)
    count = guard(lambda: read_into(file, memoryview(buffer)), 0, name, lenient=lenient)
    return bytes(memoryview(buffer)[:count])


def guard(read: Callable[[], Read], nothing: Read, name: str, *, lenient: bool) -> Read:
    """Read, and say what is wrong with a compressed file.

    Raises:
        DataError: the compressed file is cut or damaged.
    """
    try:
        return read()
    except EOFError:
        if lenient:
            return nothing
        remedy = "fetch it again, or give --lenient to use the rows before the end"
        raise DataError("the compressed file is truncated: its end is missing", where=name, remedy=remedy) from None
    except (gzip.BadGzipFile, zlib.error, zstd.ZstdError) as error:
        raise DataError(f"the compressed file is damaged: {error}", where=name, remedy="fetch it again") from None
