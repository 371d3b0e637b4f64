"""Open untrusted ZIP files, such as workbooks."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

# The directory of some 100,000 parts; a workbook has a part for each sheet, picture and chart.
_DIRECTORY_BYTES = 8 << 20


class _BoundedReads:
    """A file that rejects large reads: `zipfile` reads a directory with a single read."""

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
        BadZipFile: it is not a ZIP file, or its directory is too large.
    """
    with path.open("rb") as file, zipfile.ZipFile(cast("BinaryIO", _BoundedReads(file))) as opened:
        yield opened


def unpacked_bytes(path: Path) -> int:
    """Return the decompressed size of all parts according to the directory; 0 for a file that is not a ZIP.

    Raises:
        BadZipFile: its directory is damaged, or too large.
    """
    if not zipfile.is_zipfile(path):
        return 0
    with open_zip(path) as file:
        return sum(part.file_size for part in file.infolist())
