"""Reading workbooks: Excel and OpenDocument, as their programs show them."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from engine.audience.csv_rows import Dialect, name_columns, read_header
from engine.audience.header_names import clean_name, guess_header, is_same_name
from engine.audience.sources import Source, unreadable
from engine.audience.workbook_marks import SheetMarks, read_marks
from engine.errors import DataError, nearest

_MOST_TITLE_ROWS = 50
# How calamine writes a moment, with a blank or a T; of a time of day, the day that stands before the first.
_MOMENT = r"^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})(?:\.0+)?$"
_AFTER_MIDNIGHT = r"^\d{4}-\d{2}-\d{2} (?:0[1-9]|1|2|00:0[1-9]|00:[1-5]|00:00:0[1-9]|00:00:[1-5])"
_DAY_ZERO = "^(?:1899-12-3[01]|1904-01-01) "


@dataclass(frozen=True)
class Sheet:
    """A sheet of a workbook, as text.

    Attributes:
        name: its name.
        others: the names of the other sheets that are shown.
        hidden_others: the names of the other sheets that are not.
        is_shown: Excel shows it.
        is_named: campaign.toml named it.
        table: its rows, the header among them, without the blank ones: `line` and a String column for each of its
            columns.
        marks: what the workbook says about its cells; None where that is unknown.
    """

    name: str
    others: tuple[str, ...]
    hidden_others: tuple[str, ...]
    is_shown: bool
    is_named: bool
    table: pl.DataFrame
    marks: SheetMarks | None

    def notes(self, file: str, dialect: Dialect, *, skips_hidden: bool) -> tuple[str, ...]:
        """Tell what of the workbook is not read, and what is read though nobody sees it."""
        notes = []
        if not self.is_shown:
            notes.append(f"{file}: the sheet {self.name} was read, which is hidden")
        if (self.others or self.hidden_others) and not self.is_named:
            others = ", ".join((*self.others, *(f"{other} (hidden)" for other in self.hidden_others)))
            choose = 'choose with [audience] sheet = "…"'
            notes.append(f"{file}: the sheet {self.name} was read; there are also: {others} ({choose})")
        if self.marks is None:
            notes.append(f"{file}: hidden rows and number formats are unknown for this format; save it as .xlsx")
            return tuple(notes)
        below = self.table.slice(dialect.skip_lines).get_column("line")
        if count := int(self._is_hidden(below).sum()):
            rows, them = ("1 row", "it") if count == 1 else (f"{count:,} rows", "them")
            fate = f"excluded as filtered: unhide {them} to include {them}" if skips_hidden else "read all the same"
            notes.append(f"{file}: the sheet {self.name} hides {rows}; {fate}")
        return tuple(notes)

    def cell_notes(self, file: str, dialect: Dialect, used: Collection[str]) -> Iterator[str]:
        """Tell which cells of the columns that a campaign uses have no value, though the workbook means one."""
        if self.marks is None:
            return
        for found, one, many, remedy in (
            (self.marks.unsaved, "formula has no value", "formulas have no value", "open the workbook and save it"),
            (self.marks.errors, "cell has an error and is empty", "cells have errors and are empty", "correct them"),
        ):
            cells = [cell for cell in found if self._name_column(cell[1], dialect) in used]
            if cells:
                what = f"1 {one}" if len(cells) == 1 else f"{len(cells):,} {many}"
                row, column = cells[0]
                where = f"row {row}, column {self._name_column(column, dialect)}"
                yield f"{file}: {what}, the first in {where}; {remedy}"

    def _name_column(self, column: int, dialect: Dialect) -> str | None:
        place = column - self._first
        return dialect.columns[place] if 0 <= place < len(dialect.columns) else None

    @property
    def _first(self) -> int:
        return (self.marks.first_column if self.marks else None) or 0

    def _is_hidden(self, lines: pl.Series) -> pl.Series:
        hidden = sorted(self.marks.hidden_rows) if self.marks else []
        return lines.is_in(pl.Series(hidden, dtype=pl.UInt64).implode())

    def hidden_columns(self) -> list[bool]:
        """Which columns are not shown."""
        hidden = self.marks.hidden_columns if self.marks else ()
        return [self._first + place in hidden for place in range(self.table.width - 1)]

    def name_columns(
        self, file: str, *, has_header: bool, header_row: int | None = None, columns: Sequence[str] = ()
    ) -> Dialect:
        """Name the columns, by a row or by campaign.toml.

        Raises:
            DataError: the sheet is empty, or the row is.
        """
        where = f"{file}, sheet {self.name}"
        if self.table.is_empty():
            raise DataError("the sheet is empty", where=where, remedy="give it at least a row with the column names")
        cells = self.table.drop("line")
        if not has_header:
            return name_columns(cells.width, columns, ",", 0, where)
        place = self._find_names() if header_row is None else self.table.get_column("line").index_of(header_row)
        if place is None:
            what = f"[audience] header_row = {header_row}, and there is nothing in that line"
            raise DataError(what, where=where, remedy="give the number of the row that has the column names")
        return read_header([cell or "" for cell in cells.row(place)], ",", place + 1, self.hidden_columns())

    def _find_names(self) -> int:
        """The place of the first row that is shown; of the first one where that has an address, and so is no header."""
        shown = int((~self._is_hidden(self.table.get_column("line"))).arg_max() or 0)
        cells = self.table.drop("line").row(shown)
        return 0 if any(cell and "@" in cell for cell in cells) else shown

    def find_header(self, column: str) -> int | None:
        """The row, not the first one, that has the names of the columns; see `csv_rows.find_header`."""
        rows = [(int(line), cells) for line, *cells in self.table.head(_MOST_TITLE_ROWS).iter_rows()]
        if not column:
            return guess_header(rows)
        return next(
            (line for line, cells in rows[1:] if any(cell and is_same_name(cell, column) for cell in cells)), None
        )

    def rows(self, dialect: Dialect) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows: `line`, `malformed` (null) and `hidden`; and their cells."""
        body = self.table.slice(dialect.skip_lines)
        cells, lines = body.drop("line"), body.get_column("line")
        nothing = pl.repeat(None, body.height, dtype=pl.String, eager=True)
        places = pl.DataFrame({"line": lines, "malformed": nothing, "hidden": self._is_hidden(lines)})
        return places, cells.rename(dict(zip(cells.columns, dialect.columns, strict=True)))


def read_sheet(source: Source, wanted: str | None) -> Sheet:
    """Read a sheet of a workbook, all at once: a sheet has a million rows at most.

    Raises:
        DataError: the workbook is damaged or encrypted, or has no such sheet.
    """
    import fastexcel  # noqa: PLC0415 - needed for workbooks alone

    try:
        workbook = fastexcel.read_excel(source.path)
        names = workbook.sheet_names
        shown = [name for name in names if workbook.load_sheet(name, header_row=None, n_rows=0).visible == "visible"]
        name = _choose_sheet(wanted, names, shown, source)
        read: Any = workbook.load_sheet(name, header_row=None, dtypes="string", skip_rows=0)
        table = pl.DataFrame(read)
    except fastexcel.FastExcelError as error:
        raise unreadable(source, error) from error
    marks = read_marks(source.path, name)
    if marks is not None:
        table = marks.put_texts(table)
    table = table.select(_write_dates(column) for column in table.with_columns(pl.col(pl.String).replace("", None)))
    numbered = table.with_row_index("line", offset=1).cast({"line": pl.UInt64})
    filled = numbered.filter(pl.any_horizontal(pl.exclude("line").is_not_null())) if table.width else numbered
    others = tuple(other for other in shown if other != name)
    hidden = tuple(other for other in names if other != name and other not in shown)
    return Sheet(name, others, hidden, name in shown, wanted is not None, filled, marks)


def _choose_sheet(wanted: str | None, names: Sequence[str], shown: Sequence[str], source: Source) -> str:
    """The sheet that is named, else the first that is shown."""
    if wanted is not None:
        name = next((name for name in names if wanted in (name, clean_name(name))), None)
        if name is None:
            what = f"[audience] sheet names {wanted}, which the workbook does not have"
            raise DataError(what, where=source.name, remedy=nearest(wanted, list(names)))
        return name
    if not shown:
        what = f"all sheets are hidden: {', '.join(names)}"
        raise DataError(what, where=source.name, remedy='unhide one, or name it with [audience] sheet = "…"')
    return shown[0]


def _write_dates(column: pl.Series) -> pl.Series:
    """Write dates as every format does: 2026-11-24 in a column of dates, 2026-11-24 09:30:00 in one of moments."""
    if not column.str.contains(_MOMENT).any():
        return column
    moments = column.str.replace(_MOMENT, "${1} ${2}").str.replace(_DAY_ZERO, "")
    if moments.str.contains(_MOMENT).any() and not moments.str.contains(_AFTER_MIDNIGHT).any():
        return moments.str.replace(_MOMENT, "${1}")
    return moments


def list_sheets(source: Source) -> list[tuple[str, bool]]:
    """Name the sheets of a workbook that have any cell, and whether Excel shows them.

    Raises:
        DataError: the workbook is damaged or encrypted.
    """
    import fastexcel  # noqa: PLC0415 - needed for workbooks alone

    try:
        workbook = fastexcel.read_excel(source.path)
        sheets = [workbook.load_sheet(name, header_row=None, dtypes="string") for name in workbook.sheet_names]
    except fastexcel.FastExcelError as error:
        raise unreadable(source, error) from error
    return [(sheet.name, sheet.visible == "visible") for sheet in sheets if sheet.total_height]
