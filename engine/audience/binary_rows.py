"""Reading Parquet, Arrow and Excel."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from engine.audience.csv_rows import Dialect, name_columns, read_header
from engine.audience.header_names import is_same_name
from engine.audience.sources import Format, Source, unreadable
from engine.errors import DataError, nearest

BATCH_ROWS = 200_000
_MOST_TITLE_ROWS = 50
_ARROW_FILE = b"ARROW1"


def scan(source: Source) -> pl.LazyFrame:
    """Open a Parquet or Arrow file; of an Arrow stream, which can only be read from its beginning, all at once."""
    if source.format is Format.PARQUET:
        return pl.scan_parquet(source.path, glob=False, hive_partitioning=False)
    with source.path.open("rb") as file:
        is_file = file.read(len(_ARROW_FILE)) == _ARROW_FILE
    if not is_file:
        return pl.read_ipc_stream(source.path).lazy()
    return pl.scan_ipc(source.path, glob=False, hive_partitioning=False)


def plain_type(dtype: pl.DataType) -> pl.DataType:
    """Categories are text: each batch has its own."""
    return pl.String() if isinstance(dtype, (pl.Categorical, pl.Enum)) else dtype


def read_batches(frame: pl.LazyFrame, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Read some columns, batch by batch in the file's order; without columns frames of the same height."""
    if not columns:
        left = frame.select(pl.len()).collect().item()
        while left:
            yield pl.DataFrame(height=min(left, BATCH_ROWS))
            left -= min(left, BATCH_ROWS)
        return
    yield from frame.select(columns).collect_batches(chunk_size=BATCH_ROWS, maintain_order=True)


@dataclass(frozen=True)
class Sheet:
    """A sheet of a workbook, as text.

    Attributes:
        name: its name.
        others: the other sheets' names.
        is_named: campaign.toml named it.
        table: its rows, the header among them, without the blank ones: `line` and a String column for each of its
            columns.
    """

    name: str
    others: tuple[str, ...]
    is_named: bool
    table: pl.DataFrame

    def notes(self, file: str) -> tuple[str, ...]:
        """Tell of the other sheets."""
        if not self.others or self.is_named:
            return ()
        others = ", ".join(self.others)
        return (
            f'{file}: the sheet {self.name} was read; there are also: {others} (choose with [audience] sheet = "…")',
        )

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
        place = 0 if header_row is None else self.table.get_column("line").index_of(header_row)
        if place is None:
            what = f"[audience] header_row = {header_row}, and there is nothing in that line"
            raise DataError(what, where=where, remedy="give the number of the row that has the column names")
        return read_header([cell or "" for cell in cells.row(place)], ",", place + 1)

    def find_header(self, column: str) -> int | None:
        """The row, not the first one, among whose cells is the name of a column."""
        for line, *cells in self.table.slice(1, _MOST_TITLE_ROWS).iter_rows():
            if any(cell and is_same_name(cell, column) for cell in cells):
                return int(line)
        return None

    def rows(self, dialect: Dialect) -> tuple[pl.Series, pl.DataFrame]:
        """The rows' numbers in the sheet, and their cells."""
        body = self.table.slice(dialect.skip_lines)
        cells = body.drop("line")
        return body.get_column("line"), cells.rename(dict(zip(cells.columns, dialect.columns, strict=True)))


def read_sheet(source: Source, wanted: str | None) -> Sheet:
    """Read a sheet of a workbook, all at once: a sheet has a million rows at most.

    Raises:
        DataError: the workbook is damaged or encrypted, or has no such sheet.
    """
    import fastexcel  # noqa: PLC0415 - needed for workbooks alone

    try:
        workbook = fastexcel.read_excel(source.path)
        names = workbook.sheet_names
        if wanted is not None and wanted not in names:
            what = f"[audience] sheet names {wanted}, which the workbook does not have"
            raise DataError(what, where=source.name, remedy=nearest(wanted, names))
        name = wanted if wanted is not None else names[0]
        read: Any = workbook.load_sheet(name, header_row=None, dtypes="string", skip_rows=0)
        table = pl.DataFrame(read)
    except fastexcel.FastExcelError as error:
        raise unreadable(source, error) from error
    table = table.with_columns(pl.col(pl.String).replace("", None))
    numbered = table.with_row_index("line", offset=1).cast({"line": pl.UInt64})
    filled = numbered.filter(pl.any_horizontal(pl.exclude("line").is_not_null())) if table.width else numbered
    return Sheet(name, tuple(other for other in names if other != name), wanted is not None, filled)
