"""Marks of an OpenDocument spreadsheet's cells."""

import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

from engine.audience.reading.workbooks.sheet_marks import SheetMarks
from engine.audience.reading.workbooks.zip_directory import open_zip

_CONTENT = "content.xml"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TIME = re.compile(r"PT(\d+)H(\d+)M(\d+)(?:[.,]\d+)?S")
_ZEROS = re.compile("0[0-9]+")
_LAST_ROW, _LAST_COLUMN = 1 << 20, 1 << 14


def read_ods(path: Path, sheet: str) -> SheetMarks | None:
    """Read the marks of a sheet; return None if the file is not an OpenDocument spreadsheet."""
    if not zipfile.is_zipfile(path):
        return None
    with open_zip(path) as file:
        if _CONTENT not in file.namelist():
            return None
        reader = _SheetReader(sheet)
        with file.open(_CONTENT) as opened:
            for event, item in ET.iterparse(opened, events=("start", "end")):  # noqa: S314 - expat rejects entity expansion attacks
                reader.read(event, item)
    return reader.marks


class _SheetReader:
    def __init__(self, sheet: str) -> None:
        self.marks = SheetMarks()
        self._sheet = sheet
        self._is_ours = False
        self._closed_groups = 0
        self._row = self._column = self._last_row = 0
        self._next_row = self._columns = 0

    def read(self, event: str, item: ET.Element) -> None:
        tag = item.tag
        if tag == f"{_TABLE}table":
            self._is_ours = event == "start" and item.get(f"{_TABLE}name") == self._sheet
        if not self._is_ours:
            if event == "end" and tag == f"{_TABLE}table-row":
                item.clear()
            return
        if tag in (f"{_TABLE}table-row-group", f"{_TABLE}table-column-group"):
            if item.get(f"{_TABLE}display") == "false":
                self._closed_groups += 1 if event == "start" else -1
        elif tag == f"{_TABLE}table-row":
            self._read_row(event, item)
        elif event == "end" and tag == f"{_TABLE}table-column":
            self._read_column(item)
        elif event == "end" and tag in (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
            self._read_cell(item)

    def _is_hidden(self, item: ET.Element) -> bool:
        return self._closed_groups > 0 or item.get(f"{_TABLE}visibility", "visible") != "visible"

    def _read_column(self, item: ET.Element) -> None:
        count = int(item.get(f"{_TABLE}number-columns-repeated", "1"))
        if self._is_hidden(item):
            self.marks.hidden_columns.update(range(self._columns, min(self._columns + count, _LAST_COLUMN)))
        self._columns += count

    def _read_row(self, event: str, item: ET.Element) -> None:
        if event == "start":
            self._row, self._column = self._next_row + 1, 0
            self._last_row = self._next_row + int(item.get(f"{_TABLE}number-rows-repeated", "1"))
            return
        count = int(item.get(f"{_TABLE}number-rows-repeated", "1"))
        if self._is_hidden(item):
            self.marks.hidden_rows.update(range(self._row, min(self._row + count, _LAST_ROW + 1)))
        for shown in self.marks.texts.values():
            if count > 1 and self._row in shown:
                last = min(self._row + count, _LAST_ROW + 1)
                shown.update(dict.fromkeys(range(self._row, last), shown[self._row]))
        self._next_row += count
        item.clear()

    def _read_cell(self, item: ET.Element) -> None:
        count = int(item.get(f"{_TABLE}number-columns-repeated", "1"))
        kind, shown = item.get(f"{_OFFICE}value-type"), "".join(item.itertext()).strip()
        text = None
        if kind is not None or shown:
            self.marks.has_value(self._column, self._row)
            self.marks.has_value(self._column + count - 1, self._last_row)
        if kind == "float" and _ZEROS.fullmatch(shown) and float(item.get(f"{_OFFICE}value", "nan")) == int(shown):
            text = shown
        elif kind == "time" and (time := _TIME.fullmatch(item.get(f"{_OFFICE}time-value", ""))):
            text = ":".join(part.zfill(2) for part in time.groups())
        elif kind is None and not shown and item.get(f"{_TABLE}formula"):
            self.marks.unsaved.append((self._row, self._column))
        if text is not None:
            for column in range(self._column, min(self._column + count, _LAST_COLUMN)):
                self.marks.show(self._row, column, text)
        self._column += count
