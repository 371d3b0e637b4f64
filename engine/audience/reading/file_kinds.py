"""Files that are not tables, recognised by their first bytes, each with its remedy."""

import re
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from engine.audience.reading.workbooks.zip_directory import open_zip
from engine.errors import DataError

HEAD_BYTES = 1024
ZIP = b"PK\x03\x04"
OLE = b"\xd0\xcf\x11\xe0"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_DIRECTORY_BYTES = 1 << 16  # a protected workbook has the directory of its streams near the beginning
_SAVE = "open it in a spreadsheet program, and save it as .xlsx or CSV"
_DECOMPRESS = "decompress it; gzip and Zstandard are read as they are"
_BEGINNINGS = (
    (b"%PDF-", "a PDF document", "write it as CSV or Excel"),
    (b"{\\rtf", "a text document (RTF)", "write it as CSV or Excel"),
    (b"\x89PNG", "a picture", "name the file with the addresses"),
    (b"\xff\xd8\xff", "a picture", "name the file with the addresses"),
    (b"SQLite format 3\0", "an SQLite database", "write the query's result as CSV or Parquet"),
    (b"BZh", "compressed with bzip2", _DECOMPRESS),
    (b"\xfd7zXZ\0", "compressed with xz", _DECOMPRESS),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _DECOMPRESS),
    (b"Rar!", "a RAR archive", _DECOMPRESS),
    (b"\x04\x22\x4d\x18", "compressed with LZ4", _DECOMPRESS),
)
_MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body|table|meta|style|\?xml|!--)", re.IGNORECASE
)
# Parts that identify the kind of a ZIP file. Workbooks are accepted.
_WORKBOOK_PARTS = ("xl/", "content.xml")
_DOCUMENTS = (
    ("word/", "a Word document", "write it as CSV or Excel"),
    ("ppt/", "a presentation", "name the file with the addresses"),
    ("Index/", "a Numbers document", "export it as Excel or CSV"),
    ("Index.zip", "a Numbers document", "export it as Excel or CSV"),
)
_LISTED = 5


def refuse_what_is_not_a_table(path: Path, begin: bytes, name: str) -> None:
    """Check that a file may be a table.

    Args:
        path: the file.
        begin: its first `HEAD_BYTES`, decompressed.
        name: its name for errors.

    Raises:
        DataError: it is something else; the error has the remedy.
    """
    found = next(((what, remedy) for mark, what, remedy in _BEGINNINGS if begin.startswith(mark)), None)
    if found is None and _MARKUP.match(begin):
        found = _describe_markup(begin)
    if found is None and begin.startswith(ZIP):
        found = _describe_archive(path)
    if found is None and begin.startswith(OLE) and _is_protected(path):
        found = ("a workbook that is protected by a password", "remove the password, and save it again")
    if found is not None:
        raise DataError(f"the file is {found[0]}", where=name, remedy=found[1])


def _describe_markup(begin: bytes) -> tuple[str, str] | None:
    text = begin.lower()
    if b"urn:schemas-microsoft-com:office:spreadsheet" in text:
        return "a workbook in Excel's old XML format (SpreadsheetML)", _SAVE
    if b"<?xml" in text and b"<html" not in text:
        return "an XML document", "write it as CSV, NDJSON or Excel"
    if b"<table" in text or b"office:excel" in text:
        return "an HTML page, despite its name", _SAVE
    return "an HTML page", f"fetch the file again: this may be an error page. If it shows a table, {_SAVE}"


def _describe_archive(path: Path) -> tuple[str, str] | None:
    names: Iterable[str] = ()
    with suppress(zipfile.BadZipFile, OSError), open_zip(path) as file:
        names = [item.filename for item in file.infolist() if not item.is_dir()]
    if not names or any(name.startswith(_WORKBOOK_PARTS) for name in names):
        return None
    for part, what, remedy in _DOCUMENTS:
        if any(name.startswith(part) for name in names):
            return what, remedy
    inside = [name for name in names if not name.startswith("__MACOSX/")]
    listed = ", ".join(inside[:_LISTED]) + (", …" if len(inside) > _LISTED else "")
    return "a ZIP archive", f"unpack it, and name a file in it: {listed}"


def _is_protected(path: Path) -> bool:
    with path.open("rb") as file:
        begin = file.read(_DIRECTORY_BYTES)
        file.seek(max(path.stat().st_size - _DIRECTORY_BYTES, 0))
        return _ENCRYPTED in begin or _ENCRYPTED in file.read()
