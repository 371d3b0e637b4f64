"""Columns of a suppression list as text: nested and binary columns become ordinary ones."""

import re
from collections.abc import Callable, Iterator, Sequence

import polars as pl
from msgspec.structs import replace

from engine.audience.lists.list_entries import SEPARATOR
from engine.audience.reading.dtypes import as_instance
from engine.audience.reading.header_names import name_each_once
from engine.audience.reading.rows import Rows, Table
from engine.errors import DataError

_ADDRESS = re.compile(r"[^@\s]@[^@\s.]+\.[^@\s]")
_PATTERN = re.compile(r"\*|\^.*\$", re.DOTALL)


def with_text_columns(table: Table) -> Table:
    """Replace nested columns by one column per field, such as `contact.email`, and bytes by text.

    The values of a list are joined by `SEPARATOR` in one cell. Columns that cannot be read are left
    out; `Table.closed` still names them.

    Raises:
        DataError: a column name is an address, or looks like a pattern.
    """
    if table.source.is_untyped:
        return table
    found = [
        (column, ".".join((column, *path)), dtype, values)
        for column, whole in table.columns.items()
        if column not in table.closed
        for path, dtype, values in _find_fields(whole, pl.col(column))
    ]
    named = name_each_once([name for _, name, *_ in found])
    for name in named.columns:
        _refuse_name(name, table)
    origins = {name: column for name, (column, *_) in zip(named.columns, found, strict=True)}
    values = {name: one[3].alias(name) for name, one in zip(named.columns, found, strict=True)}

    def batches(columns: Sequence[str]) -> Iterator[Callable[[], Rows]]:
        for load in table.batches(list(dict.fromkeys(origins[name] for name in columns))):
            yield lambda load=load: _select(load(), [values[name] for name in columns])  # type: ignore[misc]

    schema = {name: one[2] for name, one in zip(named.columns, found, strict=True)}
    return replace(table, columns=schema, twice=tuple(sorted({*table.twice, *named.twice})), batches=batches)


def _select(rows: Rows, values: Sequence[pl.Expr]) -> Rows:
    return replace(rows, cells=rows.cells.select(values)) if values else rows


def _find_fields(dtype: pl.DataType, values: pl.Expr) -> Iterator[tuple[tuple[str, ...], pl.DataType, pl.Expr]]:
    """Yield the fields of a type, each with its path, its type (text, a number, a date …) and its values."""
    if isinstance(dtype, pl.Struct):
        for field in dtype.fields:
            within = values.struct.field(field.name) if _PATTERN.fullmatch(field.name) is None else pl.lit(None)
            for path, own, inner in _find_fields(as_instance(field.dtype), within):
                yield (field.name, *path), own, inner
    elif isinstance(dtype, pl.List | pl.Array):
        several = values.arr.to_list() if isinstance(dtype, pl.Array) else values
        for path, _, inner in _find_fields(as_instance(dtype.inner), pl.element()):
            yield path, pl.String(), several.list.eval(inner.cast(pl.String)).list.join(SEPARATOR)
    elif isinstance(dtype, pl.Binary):
        yield (), pl.String(), values.map_batches(_decode, return_dtype=pl.String())
    elif isinstance(dtype, pl.Null | pl.Categorical | pl.Enum):
        yield (), pl.String(), values.cast(pl.String)
    elif isinstance(dtype, pl.Duration):
        yield (), pl.Int64(), values.cast(pl.Int64)  # Polars cannot write it as text
    else:
        yield (), dtype, values


def _decode(cells: pl.Series) -> pl.Series:
    """Decode bytes as UTF-8; write other bytes as hex digits, so that a digest is recognisable."""
    try:
        return cells.cast(pl.String)
    except pl.exceptions.PolarsError:
        return pl.Series(cells.name, [_decode_cell(cell) for cell in cells], dtype=pl.String)


def _decode_cell(cell: bytes | None) -> str | None:
    if cell is None:
        return None
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return cell.hex()


def _refuse_name(name: str, table: Table) -> None:
    if any(_PATTERN.fullmatch(part) for part in (name, *name.split("."))):
        what = f"the column name {name} looks like a pattern"
        raise DataError(what, where=table.source.name, remedy="rename the column")
    if _ADDRESS.search(name):
        remedy = "write a row for each address, with the address as the value of email"
        raise DataError("a column name is an address", where=table.source.name, remedy=remedy)
