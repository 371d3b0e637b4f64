"""The bytes of files, unpacked where they are compressed, and no more of them than is allowed."""

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
    """Open a file for reading its bytes, decompressed where it is gzip or Zstandard."""
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
    """Open a file as `open_raw` does, and stop where it unpacks to more than is allowed.

    Raises:
        DataError: it does; raised by what reads.
    """
    with open_raw(path) as file:
        is_packed = not isinstance(file, io.BufferedReader)
        yield cast("BinaryIO", CountedFile(file, path.stat().st_size, name, limits)) if is_packed else file


class CountedFile:
    """A compressed file that counts what it unpacks."""

    def __init__(self, file: BinaryIO | gzip.GzipFile, packed: int, name: str, limits: ReadLimits) -> None:
        self._file, self._packed, self._name, self._limits = file, packed, name, limits
        self._unpacked = 0

    def _count(self, size: int) -> None:
        self._unpacked += size
        self._limits.check_unpacked(self._unpacked, self._packed, self._name)

    def read(self, size: int) -> bytes:
        """Read so many bytes at most."""
        data = self._file.read(size)
        self._count(len(data))
        return data

    def readinto1(self, free: memoryview) -> int:
        """Fill memory with what one read gives."""
        count = int(self._file.readinto1(free))  # type: ignore[union-attr] # both kinds have it
        self._count(count)
        return count

    def readline(self, size: int) -> bytes:
        """Read a line, so many bytes at most."""
        line = self._file.readline(size)
        self._count(len(line))
        return line


def is_compressed(path: Path) -> bool:
    """Tell by the file's first bytes."""
    with path.open("rb") as file:
        magic = file.read(4)
    return magic.startswith(_GZIP) or magic == _ZSTD


def read_into(file: BinaryIO, free: memoryview) -> int:
    """Fill memory as far as the file goes; of a compressed file that is cut, up to there."""
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
    """Read as many bytes, fewer where the file ends.

    Raises:
        DataError: it is compressed and damaged, or cut; not the latter if `lenient`.
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
        remedy = "fetch it again, or give --lenient to use what there is"
        raise DataError("the compressed file is cut: its end is missing", where=name, remedy=remedy) from None
    except (gzip.BadGzipFile, zlib.error, zstd.ZstdError) as error:
        raise DataError(f"the compressed file is damaged: {error}", where=name, remedy="fetch it again") from None
