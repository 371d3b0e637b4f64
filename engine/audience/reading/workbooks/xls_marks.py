"""Marks of an .xls workbook's cells."""

import io
from pathlib import Path

import xlrd

from engine.audience.reading.workbooks.number_formats import pad, pads
from engine.audience.reading.workbooks.sheet_marks import SheetMarks

_NOT_AVAILABLE = 0x2A  # the code of #N/A


def read_xls(path: Path, sheet: str) -> SheetMarks | None:
    """Read the marks of a sheet; return None if the file is not an .xls."""
    try:
        # Its warnings would go to stdout, which is reserved for the answer.
        book = xlrd.open_workbook(path, logfile=io.StringIO(), formatting_info=True, on_demand=True)
        table = book.sheet_by_name(sheet)
    except (xlrd.XLRDError, NotImplementedError):
        return None
    marks = SheetMarks()
    marks.hidden_rows = {row + 1 for row, info in table.rowinfo_map.items() if info.hidden or not info.height}
    marks.hidden_columns = {column for column, info in table.colinfo_map.items() if info.hidden or not info.width}
    codes = [book.format_map[style.format_key].format_str for style in book.xf_list]
    padding = {number: code for number, code in enumerate(codes) if pads(code)}
    for row in range(table.nrows):
        for column in range(table.ncols):
            if table.cell_type(row, column) in (xlrd.XL_CELL_EMPTY, xlrd.XL_CELL_BLANK):
                continue
            marks.has_value(column, row + 1)
            if table.cell_type(row, column) == xlrd.XL_CELL_ERROR and table.cell_value(row, column) != _NOT_AVAILABLE:
                marks.errors.append((row + 1, column))
            code = padding.get(table.cell_xf_index(row, column))
            if code and table.cell_type(row, column) == xlrd.XL_CELL_NUMBER:
                shown = pad(code, table.cell_value(row, column))
                if shown is not None:
                    marks.show(row + 1, column, shown)
    return marks
