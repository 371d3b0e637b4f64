"""Marks of a sheet's cells in addition to their values: hidden rows and columns, and displayed texts."""

import polars as pl
from msgspec import Struct, field


class SheetMarks(Struct):
    """The marks of a sheet's cells. Rows count from 1, columns from 0.

    Attributes:
        hidden_rows: rows that are hidden, filtered, or have no height.
        hidden_columns: columns that are hidden.
        texts: column -> row -> the displayed text if it has more information than the value: 01234, and a time of day.
        unsaved: cells with a formula whose value was not saved: row and column.
        errors: cells with an error such as #REF!: row and column; #N/A is not an error: it means that there is no
            value.
        first_column: the first with a value; None if there is none.
        last_row, last_column: the last with a value, as far as known: for an .xlsx only columns beyond Z.
    """

    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    texts: dict[int, dict[int, str]] = field(default_factory=dict)
    unsaved: list[tuple[int, int]] = field(default_factory=list)
    errors: list[tuple[int, int]] = field(default_factory=list)
    first_column: int | None = None
    last_row: int = 0
    last_column: int = 0

    def show(self, row: int, column: int, text: str) -> None:
        """Record the displayed text of a cell."""
        self.texts.setdefault(column, {})[row] = text

    def has_value(self, column: int, row: int) -> None:
        """Record that a column and a row have a value."""
        if self.first_column is None or column < self.first_column:
            self.first_column = column
        self.last_row, self.last_column = max(self.last_row, row), max(self.last_column, column)

    def count_cells(self) -> int:
        """Count the cells up to the last one: all of them need memory when the sheet is read."""
        return self.last_row * (self.last_column + 1)

    def put_texts(self, table: pl.DataFrame) -> pl.DataFrame:
        """Replace values by the displayed texts.

        Args:
            table: all of the sheet's rows, from its first column that has a value.
        """
        columns = []
        for number, column in enumerate(table, start=self.first_column or 0):
            shown = {row - 1: text for row, text in self.texts.get(number, {}).items() if row <= table.height}
            if shown:
                columns.append(column.scatter(list(shown), pl.Series(list(shown.values()), dtype=pl.String)))
        return table.with_columns(columns)
