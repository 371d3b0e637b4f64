"""Blank cells and their defaults."""

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
