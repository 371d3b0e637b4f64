"""Missing values: blank cells, NaN, and the defaults of columns."""

import polars as pl

from engine.audience.spec import Value
from engine.errors import DataError


def is_blank(column: pl.Series) -> pl.Expr:
    """Whether there is no value: null, or text of white space alone."""
    value = pl.col(column.name)
    return value.is_null() | (value.str.strip_chars() == "") if column.dtype == pl.String else value.is_null()


def fill(column: pl.Series, default: Value) -> pl.Series:
    """Put a default where a column is blank.

    Raises:
        DataError: the default does not fit the column's type.
    """
    value = str(default).lower() if isinstance(default, bool) and column.dtype == pl.String else default
    try:
        typed = pl.Series([value]).cast(column.dtype)
    except pl.exceptions.PolarsError as error:
        where = f"campaign.toml, [audience] defaults.{column.name}"
        what = f"the default {default!r} does not fit the column {column.name}, which is {column.dtype}"
        raise DataError(what, where=where, remedy="give it a value of that type") from error
    filled = pl.when(is_blank(column)).then(pl.lit(typed).first()).otherwise(column.name).alias(column.name)
    return column.to_frame().select(filled).to_series()


def null_nans(cells: pl.DataFrame) -> pl.DataFrame:
    """Put null where there is NaN, inside lists and structs too: pandas and R write a missing number so."""
    found = {name: dtype for name, dtype in cells.schema.items() if _may_be_nan(dtype)}
    return cells.with_columns(_null_nan(pl.col(name), dtype) for name, dtype in found.items()) if found else cells


def _may_be_nan(dtype: pl.DataType) -> bool:
    if isinstance(dtype, pl.Struct):
        return any(_may_be_nan(_of(field.dtype)) for field in dtype.fields)
    if isinstance(dtype, pl.List | pl.Array):
        return _may_be_nan(_of(dtype.inner))
    return dtype.is_float()


def _null_nan(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Struct):
        fields = [field for field in dtype.fields if _may_be_nan(_of(field.dtype))]
        inner = [_null_nan(pl.field(field.name), _of(field.dtype)) for field in fields]
        return pl.when(value.is_not_null()).then(value.struct.with_fields(*inner))
    if isinstance(dtype, pl.List):
        return value.list.eval(_null_nan(pl.element(), _of(dtype.inner)))
    if isinstance(dtype, pl.Array):
        return value.arr.eval(_null_nan(pl.element(), _of(dtype.inner)))
    return value.fill_nan(None)


def _of(dtype: object) -> pl.DataType:
    """Polars' type hints allow a class where a schema has an instance."""
    assert isinstance(dtype, pl.DataType)  # noqa: S101 - as it is in every schema
    return dtype
