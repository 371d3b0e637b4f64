"""Read workbooks of Excel and OpenDocument, as their programs show them."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import polars as pl
from msgspec import Struct

from engine.audience.reading.csv_dialect import CsvDialect, name_columns, read_header
from engine.audience.reading.header_names import guess_header, is_same_name
from engine.audience.reading.sources import AudienceSource
from engine.audience.reading.workbooks.sheet_marks import SheetMarks
from engine.audience.reading.workbooks.workbook_process import ask_reader
from engine.errors import DataError, nearest

_MOST_TITLE_ROWS = 50


class Sheet(Struct, frozen=True):
    """A sheet of a workbook, as text.

    Attributes:
        name: its name.
        others: the names of the other visible sheets.
        hidden_others: the names of the other hidden sheets.
        is_shown: it is visible.
        is_named: campaign.toml named it.
        table: its rows including the header, without blank ones: `line` and a String column for each of its
            columns.
        marks: the marks of its cells; None if they are unknown.
    """

    name: str
    others: tuple[str, ...]
    hidden_others: tuple[str, ...]
    is_shown: bool
    is_named: bool
    table: pl.DataFrame
    marks: SheetMarks | None

    def notes(self, file: str, dialect: CsvDialect, *, skips_hidden: bool) -> tuple[str, ...]:
        """Report the sheets and rows that are not read, and hidden ones that are read."""
        notes = []
        if not self.is_shown:
            notes.append(f"{file}: the sheet {self.name} was read, although it is hidden")
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
            fate = f"excluded as filtered: unhide {them} to include {them}" if skips_hidden else "read anyway"
            notes.append(f"{file}: the sheet {self.name} hides {rows}; {fate}")
        return tuple(notes)

    def cell_notes(self, file: str, dialect: CsvDialect, used: Collection[str]) -> Iterator[str]:
        """Report cells of used columns that should have a value and have none."""
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

    def _name_column(self, column: int, dialect: CsvDialect) -> str | None:
        place = column - self._first
        return dialect.columns[place] if 0 <= place < len(dialect.columns) else None

    @property
    def _first(self) -> int:
        return (self.marks.first_column if self.marks else None) or 0

    def _is_hidden(self, lines: pl.Series) -> pl.Series:
        hidden = sorted(self.marks.hidden_rows) if self.marks else []
        return lines.is_in(pl.Series(hidden, dtype=pl.UInt64).implode())

    def hidden_columns(self) -> list[bool]:
        """The hidden columns."""
        hidden = self.marks.hidden_columns if self.marks else ()
        return [self._first + place in hidden for place in range(self.table.width - 1)]

    def name_columns(
        self, file: str, *, has_header: bool, header_row: int | None = None, columns: Sequence[str] = ()
    ) -> CsvDialect:
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
            what = f"[audience] header_row = {header_row}, but that row is empty"
            raise DataError(what, where=where, remedy="give the number of the row that has the column names")
        return read_header([cell or "" for cell in cells.row(place)], ",", place + 1, self.hidden_columns())

    def _find_names(self) -> int:
        """Return the index of the first visible row, or 0 if that row has an address and so is not a header."""
        shown = int((~self._is_hidden(self.table.get_column("line"))).arg_max() or 0)
        cells = self.table.drop("line").row(shown)
        return 0 if any(cell and "@" in cell for cell in cells) else shown

    def find_header(self, column: str) -> int | None:
        """Find the row with the column names if it is not the first one; see `csv_dialect.find_header`."""
        rows = [(int(line), cells) for line, *cells in self.table.head(_MOST_TITLE_ROWS).iter_rows()]
        if not column:
            return guess_header(rows)
        return next(
            (line for line, cells in rows[1:] if any(cell and is_same_name(cell, column) for cell in cells)), None
        )

    def rows(self, dialect: CsvDialect) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows: `line`, `malformed` (null) and `hidden`; and their cells."""
        body = self.table.slice(dialect.skip_lines)
        cells, lines = body.drop("line"), body.get_column("line")
        nothing = pl.repeat(None, body.height, dtype=pl.String, eager=True)
        places = pl.DataFrame({"line": lines, "malformed": nothing, "hidden": self._is_hidden(lines)})
        return places, cells.rename(dict(zip(cells.columns, dialect.columns, strict=True)))


def read_sheet(source: AudienceSource, wanted: str | None) -> Sheet:
    """Read a whole sheet: it has at most a million rows.

    Raises:
        DataError: the workbook is damaged, encrypted or too large, or has no such sheet.
    """
    answer, table = ask_reader(source, "sheet", wanted)
    names, shown, name = answer["names"], answer["shown"], answer["name"]
    if name is None or table is None:
        raise _no_sheet(wanted, names, source)
    marks = _read_marks(answer["marks"])
    numbered = table.with_row_index("line", offset=1).cast({"line": pl.UInt64})
    filled = numbered.filter(pl.any_horizontal(pl.exclude("line").is_not_null())) if table.width else numbered
    others = tuple(other for other in shown if other != name)
    hidden = tuple(other for other in names if other != name and other not in shown)
    return Sheet(name, others, hidden, name in shown, wanted is not None, filled, marks)


def _read_marks(said: dict[str, Any] | None) -> SheetMarks | None:
    if said is None:
        return None
    return SheetMarks(
        hidden_rows=set(said["hidden_rows"]),
        hidden_columns=set(said["hidden_columns"]),
        unsaved=[(row, column) for row, column in said["unsaved"]],
        errors=[(row, column) for row, column in said["errors"]],
        first_column=said["first_column"],
    )


def _no_sheet(wanted: str | None, names: Sequence[str], source: AudienceSource) -> DataError:
    if wanted is not None:
        what = f"[audience] sheet names {wanted}, which the workbook does not have"
        return DataError(what, where=source.name, remedy=nearest(wanted, list(names)))
    what = f"all sheets are hidden: {', '.join(names)}"
    return DataError(what, where=source.name, remedy='unhide one, or name it with [audience] sheet = "…"')


def list_sheets(source: AudienceSource) -> list[tuple[str, bool]]:
    """List the sheets of a workbook that have cells, and whether they are visible.

    Raises:
        DataError: the workbook is damaged, encrypted or too large.
    """
    answer, _ = ask_reader(source, "list")
    return [(name, is_shown) for name, is_shown in answer["sheets"]]
