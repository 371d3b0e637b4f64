"""Marks of an .xlsx workbook's cells, from its XML, which is large and so is searched instead of parsed."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree as ET

from engine.audience.reading.workbooks.number_formats import pad, pads
from engine.audience.reading.workbooks.sheet_marks import SheetMarks
from engine.audience.reading.workbooks.zip_directory import open_zip

_WORKBOOK, _STYLES = "xl/workbook.xml", "xl/styles.xml"
_RELATIONS = "xl/_rels/workbook.xml.rels"
_CHUNK = 4 << 20
_ROW_END = (b"</row>", b":row>")
_ROW_OR_CELL = re.compile(
    rb"<(?:\w+:)?(?:row\b(?P<row>[^>]*)>|c\b(?P<cell>[^>]*?)(?:/>|>(?P<inside>.*?)</(?:\w+:)?c>))", re.DOTALL
)
_ROW = re.compile(rb"<(?:\w+:)?row\b([^>]*)>")
_REFERENCES = re.compile(rb'<(?:\w+:)?row\b[^>]*\br="\d+"[^>]*>\s*<(?:\w+:)?c\b[^>]*\br="[A-Z]+\d+"')
# A cell with a formula and without a value, or with an empty text.
_UNSAVED = re.compile(
    rb"<(?:\w+:)?f\b[^>]*(?:/>|>[^<]*</(?:\w+:)?f>)\s*(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)
_ERROR = re.compile(
    rb'<(?:\w+:)?c\b(?=[^>]*\bt="e")(?=[^>]*\br="([A-Z]+)(\d+)")[^>]*>'
    rb"\s*(?:<(?:\w+:)?f\b[^>]*(?:/>|>[^<]*</(?:\w+:)?f>)\s*)?<(?:\w+:)?v\b[^>]*>([^<]+)<"
)
_NOT_AVAILABLE = b"#N/A"
_FIRST_CELL = re.compile(
    rb'<(?:\w+:)?row\b[^>]*>\s*(?:<(?:\w+:)?c\b[^>]*/>\s*)*<(?:\w+:)?c\b[^>]*?\br="([A-Z]+)(\d+)"[^>]*>'
)
# A cell with a value in a column beyond Z: few sheets have one, so the search costs little.
_WIDE_CELL = re.compile(rb'\br="([A-Z]{2,})(\d+)"[^>]*(?<!/)>')
_COLUMN = re.compile(rb"<(?:\w+:)?col\b([^>]*)>")
_ATTRIBUTE = re.compile(rb'(\w+)\s*=\s*"([^"]*)"')
_VALUE = re.compile(rb"<(?:\w+:)?v\b[^>]*>([^<]+)</")
_TEXT = re.compile(rb"<(?:\w+:)?is\b")
_FORMULA = re.compile(rb"<(?:\w+:)?f\b")
_TRUE = (b"1", b"true")
_LETTERS = 26


def read_xlsx(path: Path, sheet: str) -> SheetMarks | None:
    """Read the marks of a sheet; return None if the file is not an .xlsx."""
    if not zipfile.is_zipfile(path):
        return None
    with open_zip(path) as file:
        part = _find_sheet(file, sheet)
        if part is None:
            return None
        reader = _SheetReader(_padding_styles(file))
        with file.open(part) as opened:
            for chunk in _chunks(iter(lambda: opened.read(_CHUNK), b"")):
                reader.read(chunk)
    return reader.marks


def find_hidden(path: Path) -> set[str] | None:
    """Return the hidden sheets without reading any; None if the file is not an .xlsx."""
    if not zipfile.is_zipfile(path):
        return None
    with open_zip(path) as file:
        if _WORKBOOK not in file.namelist():
            return None
        items = ET.fromstring(file.read(_WORKBOOK)).iter()  # noqa: S314 - expat rejects entity expansion attacks
        return {
            item.get("name", "")
            for item in items
            if _local(item.tag) == "sheet" and item.get("state", "visible") != "visible"
        }


def _find_sheet(file: zipfile.ZipFile, sheet: str) -> str | None:
    names = set(file.namelist())
    if not {_WORKBOOK, _RELATIONS} <= names:
        return None
    targets = {item.get("Id"): item.get("Target", "") for item in ET.fromstring(file.read(_RELATIONS))}  # noqa: S314 - expat rejects entity expansion attacks
    for item in ET.fromstring(file.read(_WORKBOOK)).iter():  # noqa: S314 - as above
        if _local(item.tag) == "sheet" and item.get("name") == sheet:
            relation = next((value for key, value in item.items() if key.endswith("}id")), None)
            target = targets.get(relation, "")
            part = target[1:] if target.startswith("/") else str(PurePosixPath("xl") / target)
            return part if part in names and part.endswith(".xml") else None
    return None


def _padding_styles(file: zipfile.ZipFile) -> dict[bytes, str]:
    """Return the styles whose number format shows leading zeros: style number -> format."""
    if _STYLES not in file.namelist():
        return {}
    root = ET.fromstring(file.read(_STYLES))  # noqa: S314 - expat rejects entity expansion attacks
    codes = {item.get("numFmtId"): item.get("formatCode", "") for item in root.iter() if _local(item.tag) == "numFmt"}
    used = next((list(item) for item in root if _local(item.tag) == "cellXfs"), [])
    formats = {str(number).encode(): codes.get(style.get("numFmtId"), "") for number, style in enumerate(used)}
    return {number: code for number, code in formats.items() if pads(code)}


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _chunks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Join pieces so that each ends with a whole row."""
    rest = b""
    for piece in pieces:
        rest += piece
        end = max(rest.rfind(mark) + len(mark) for mark in _ROW_END if mark in rest) if _has_end(rest) else 0
        if end:
            yield rest[:end]
            rest = rest[end:]
    yield rest


def _has_end(text: bytes) -> bool:
    return any(mark in text for mark in _ROW_END)


def _has_references(chunk: bytes) -> bool:
    """Whether its rows and cells have references; otherwise they have to be counted."""
    return _REFERENCES.search(chunk) is not None


def _find_styles(padding: dict[bytes, str]) -> re.Pattern[bytes] | None:
    """Return the pattern for numbers of some styles: style, column, row, value."""
    if not padding:
        return None
    styles = b"|".join(padding)
    return re.compile(
        rb'<(?:\w+:)?c\b(?=[^>]*\bs="(' + styles + rb')")(?=[^>]*\br="([A-Z]+)(\d+)")(?![^>]*\bt="(?!n"))[^>]*>'
        rb"\s*<(?:\w+:)?v\b[^>]*>([^<]+)<"
    )


class _SheetReader:
    """Reads a sheet's XML chunk by chunk."""

    def __init__(self, padding: dict[bytes, str]) -> None:
        self.marks = SheetMarks()
        self._padding = padding
        self._padded = _find_styles(padding)
        self._row = self._column = 0
        self._is_first = True
        self._hides_rows = False

    def read(self, chunk: bytes) -> None:
        """Read whole rows."""
        if self._is_first:
            self._read_head(chunk)
        if _has_references(chunk) and not _UNSAVED.search(chunk):
            self._search(chunk)
            return
        for found in _ROW_OR_CELL.finditer(chunk):
            if found["row"] is not None:
                self._begin_row(found["row"])
            else:
                self._read_cell(found["cell"], found["inside"] or b"")

    def _search(self, chunk: bytes) -> None:
        """Find the marks in rows whose cells have references."""
        self._find_ends(chunk)
        if self._hides_rows or b"hidden=" in chunk or b'ht="0"' in chunk:
            for attributes in _ROW.findall(chunk):
                self._begin_row(attributes)
        if b't="e"' in chunk:
            for letters, row, text in _ERROR.findall(chunk):
                if text != _NOT_AVAILABLE:
                    self.marks.errors.append((int(row), _column_number(letters)))
        if self._padded is None:
            return
        for style, letters, row, value in self._padded.findall(chunk):
            shown = pad(self._padding[style], float(value))
            if shown is not None:
                self.marks.show(int(row), _column_number(letters), shown)

    def _find_ends(self, chunk: bytes) -> None:
        for pattern in (_FIRST_CELL, _WIDE_CELL):
            cells = pattern.findall(chunk)
            row = max((int(row) for _, row in cells), default=0)
            for letters in {letters for letters, _ in cells}:
                self.marks.has_value(_column_number(letters), row)

    def _read_head(self, chunk: bytes) -> None:
        """Read the head of the sheet: hidden columns, and whether there are hidden rows."""
        self._is_first = False
        head = re.split(rb"<(?:\w+:)?sheetData", chunk, maxsplit=1)[0]
        self._hides_rows = re.search(rb'zeroHeight\s*=\s*"(?:1|true)"', head) is not None
        for found in _COLUMN.findall(head):
            column = dict(_ATTRIBUTE.findall(found))
            if column.get(b"hidden") in _TRUE or _is_zero(column.get(b"width")):
                self.marks.hidden_columns.update(range(int(column[b"min"]) - 1, int(column[b"max"])))

    def _begin_row(self, attributes: bytes) -> None:
        row = dict(_ATTRIBUTE.findall(attributes))
        self._row = int(row.get(b"r", self._row + 1))
        self._column = -1
        shown = b"ht" in row and not _is_zero(row[b"ht"]) and row.get(b"hidden") not in _TRUE
        hidden = row.get(b"hidden") in _TRUE or _is_zero(row.get(b"ht"))
        if hidden or (self._hides_rows and not shown):
            self.marks.hidden_rows.add(self._row)

    def _read_cell(self, attributes: bytes, inside: bytes) -> None:
        cell = dict(_ATTRIBUTE.findall(attributes))
        place = cell.get(b"r", b"").rstrip(b"0123456789")
        self._column = _column_number(place) if place else self._column + 1
        value = _VALUE.search(inside)
        if value is not None or _TEXT.search(inside):
            self.marks.has_value(self._column, self._row)
        if value is None:
            if _FORMULA.search(inside) and cell.get(b"t") != b"str":
                self.marks.unsaved.append((self._row, self._column))
        elif cell.get(b"t") == b"e" and value[1] != _NOT_AVAILABLE:
            self.marks.errors.append((self._row, self._column))
        elif cell.get(b"t", b"n") == b"n" and (code := self._padding.get(cell.get(b"s", b"0"))):
            shown = pad(code, float(value[1]))
            if shown is not None:
                self.marks.show(self._row, self._column, shown)


def _is_zero(number: bytes | None) -> bool:
    return number is not None and not float(number or 0)


def _column_number(letters: bytes) -> int:
    """Return the number of a column from 0: A is 0, AA is 26."""
    number = 0
    for letter in letters.upper():
        number = number * _LETTERS + letter - ord("A") + 1
    return number - 1
