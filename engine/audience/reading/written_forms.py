"""Parse dates and numbers in the formats of `[audience] date_format` and `decimal`."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import polars as pl
from msgspec import Struct
from msgspec.structs import replace

from engine.audience.reading.date_formats import read_date_format
from engine.audience.reading.rows import Rows, Table
from engine.audience.reading.sources import Format, refuse_unknown_column
from engine.audience.reading.types import DECIMAL, WORDS_FOR_NOTHING
from engine.errors import DataError

LENIENT = "correct the file or the setting, or give --lenient to exclude the rows"
_ISO = r"^\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}.*)?$"
_GROUPS = {",": ".", ".": ","}
_SPACES = " \u00a0\u202f'\u2019"
_FIRST_YEAR = 1000  # an earlier year is truncated


class WrittenForms(Struct, frozen=True, kw_only=True):
    """The formats of an audience's dates and numbers.

    Attributes:
        date_format: as in campaign.toml: for all columns, or column -> format; None for ISO 8601 only.
        decimal: the decimal mark: for all columns, or column -> mark; None for a point.
    """

    date_format: str | Mapping[str, str] | None = None
    decimal: str | Mapping[str, str] | None = None

    def read(self, tables: Sequence[Table], *, lenient: bool) -> tuple[Table, ...]:
        """Return the tables with dates in ISO 8601 and numbers as in JSON.

        In a column that a setting names, a text in another format is an error, or if lenient a malformed
        row; if a setting is for all columns, other texts are unchanged.

        Raises:
            DataError: a setting names a column that does not exist; or a text has another format, raised when a batch
                is loaded.
        """
        available = [column for table in tables for column in table.columns]
        for key, setting in (("date_format", self.date_format), ("decimal", self.decimal)):
            for column in setting if isinstance(setting, Mapping) else ():
                refuse_unknown_column(column, columns=available, key=f"[audience.{key}]")
        if not self.date_format and not self.decimal:
            return tuple(tables)
        return tuple(self._read_table(table, lenient=lenient) for table in tables)

    def _read_table(self, table: Table, *, lenient: bool) -> Table:
        def batches(columns: Sequence[str]) -> Iterator[Callable[[], Rows]]:
            for load in table.batches(columns):
                yield lambda load=load: self._read_rows(load(), table, lenient=lenient)  # type: ignore[misc]

        return replace(table, batches=batches)

    def _read_rows(self, rows: Rows, table: Table, *, lenient: bool) -> Rows:
        read_numbers = _read_cell_numbers if table.source.format is Format.EXCEL else _read_numbers
        for column in rows.cells:
            if column.dtype != pl.String:
                continue
            forms = (
                _Form("date_format", *_choose(self.date_format, column.name), _read_dates),
                _Form("decimal", *_choose(self.decimal, column.name), read_numbers),
            )
            for form in forms:
                if form.written is not None:
                    rows = form.apply(rows, column.name, table, lenient=lenient)
        return rows


def _choose(setting: str | Mapping[str, str] | None, column: str) -> tuple[str | None, bool]:
    """Return a column's format, and whether the setting names this column."""
    if isinstance(setting, Mapping):
        return setting.get(column), True
    return setting, False


class _Form(Struct, frozen=True):
    """A setting for one column.

    Attributes:
        key: in `[audience]`.
        written: its value.
        is_own: the setting names this column.
        read: parses texts without blanks around them; null for a text in another format.
    """

    key: str
    written: str | None
    is_own: bool
    read: Callable[[pl.Series, str, bool], pl.Series]

    def apply(self, rows: Rows, name: str, table: Table, *, lenient: bool) -> Rows:
        """Read a column."""
        assert self.written is not None  # noqa: S101 - for the type checker
        column = rows.cells.get_column(name)
        texts = column.str.strip_chars()
        found = self.read(texts, self.written, self.is_own)
        if not self.is_own:
            return replace(rows, cells=rows.cells.with_columns(found.fill_null(column).alias(name)))
        is_text = (texts != "") & ~texts.str.to_lowercase().is_in(WORDS_FOR_NOTHING)
        is_other = (is_text & found.is_null()).fill_null(value=False)
        what = f'the column {name} is not in the format {self.key} = "{self.written}"'
        if is_other.any() and not lenient:
            first = is_other.arg_max() or 0
            line, text = rows.places["line"][first], texts[first]
            count = f"{is_other.sum():,} values differ, the first is {text[:40]!r}"
            where = f"{table.source.name}, line {line}; campaign.toml, [audience] {self.key}"
            raise DataError(f"{what}: {count}", where=where, remedy=LENIENT)
        cells = rows.cells.with_columns(found.fill_null(column).alias(name))
        if not is_other.any():
            return replace(rows, cells=cells)
        malformed = pl.when(is_other).then(pl.coalesce("malformed", pl.lit(what))).otherwise("malformed")
        places = rows.places.with_columns(malformed.alias("malformed"))
        return replace(rows, places=places, cells=cells.select(pl.when(~is_other).then(pl.all())))


def _read_dates(texts: pl.Series, written: str, _: bool) -> pl.Series:  # noqa: FBT001 - same signature as _read_numbers
    strptime_format = read_date_format(written)
    if re.search("%[HI]", strptime_format):
        moments = texts.str.to_datetime(strptime_format, strict=False, time_unit="us")
        iso = moments.dt.strftime("%Y-%m-%d %H:%M:%S")
    else:
        moments = texts.str.to_date(strptime_format, strict=False)
        iso = moments.dt.strftime("%Y-%m-%d")
    iso = iso.set(moments.dt.year() < _FIRST_YEAR, None)
    return iso.fill_null(texts.set(~texts.str.contains(_ISO), None))


def _read_numbers(texts: pl.Series, mark: str, is_own: bool) -> pl.Series:  # noqa: FBT001 - called by _Form
    group, escaped = re.escape(_GROUPS[mark]), re.escape(mark)
    decimals = rf"(?:{escaped}\d+)?"
    if is_own:
        pattern = rf"^[+-]?(?:\d+|[1-9]\d{{0,2}}(?:[{group}{_SPACES}]\d{{3}})+){decimals}$"
    else:  # +84 90 123 456 is a telephone number
        grouped = rf"[1-9]\d{{0,2}}(?:{group}\d{{3}})+"
        pattern = rf"^-?(?:(?:\d+|{grouped}){decimals}|[1-9]\d{{0,2}}(?:[{_SPACES}]\d{{3}})+{escaped}\d+)$"
    plain = texts.str.replace_all(f"[{group}{_SPACES}+]", "").str.replace(mark, ".", literal=True)
    return plain.set(~texts.str.contains(pattern), None)


def _read_cell_numbers(texts: pl.Series, mark: str, is_own: bool) -> pl.Series:  # noqa: FBT001 - called by _Form
    """Read numbers of a workbook, which have their own type and a point in their text."""
    numbers = texts.set(~texts.str.contains(DECIMAL), None)
    return numbers.fill_null(_read_numbers(texts, mark, is_own))
