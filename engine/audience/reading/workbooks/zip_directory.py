"""Opening ZIP files, as workbooks are, whose directory may be anything."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

# The directory of some 100,000 parts; a workbook has a part for each sheet, picture and chart.
_DIRECTORY_BYTES = 8 << 20


class _BoundedReads:
    """A file of which no more than so much is read at once: `zipfile` reads a directory all at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size > _DIRECTORY_BYTES:
            raise zipfile.BadZipFile("its directory is too large")
        return self._file.read(size)


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a ZIP file.

    Raises:
        BadZipFile: it is none, or its directory is too large.
    """
    with path.open("rb") as file, zipfile.ZipFile(cast("BinaryIO", _BoundedReads(file))) as opened:
        yield opened


def unpacked_bytes(path: Path) -> int:
    """Return what all parts together unpack to, as the directory says; 0 for a file that is not a ZIP.

    Raises:
        BadZipFile: its directory is damaged, or too large.
    """
    if not zipfile.is_zipfile(path):
        return 0
    with open_zip(path) as file:
        return sum(part.file_size for part in file.infolist())
