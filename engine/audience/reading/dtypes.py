"""Polars' data types as instances."""

import polars as pl


def as_instance(dtype: object) -> pl.DataType:
    """Return the type of a field or of a list's items: the type hints allow a class where a schema has an instance."""
    assert isinstance(dtype, pl.DataType)  # noqa: S101 - true for every schema
    return dtype
