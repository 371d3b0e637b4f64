"""Reading Parquet and Arrow."""

from collections.abc import Iterator, Sequence

import polars as pl

from engine.audience.dtypes import as_instance
from engine.audience.parquet_types import find_unknown_types
from engine.audience.sources import Format, Source
from engine.errors import DataError

# Polars panics on an INTERVAL unless it may take it for a struct; the columns beside it can then be read.
# Set through its own settings, because it reads the environment once.
pl.Config.load('{"environment": {"POLARS_IMPORT_INTERVAL_AS_STRUCT": "1"}}')
_INTERVAL = {"months", "days", "nanoseconds"}
UNREADABLE = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)
BATCH_ROWS = 200_000
_ARROW_FILE = b"ARROW1"


def scan(source: Source) -> pl.LazyFrame:
    """Open a Parquet or Arrow file; of an Arrow stream, which can only be read from its beginning, all at once.

    Raises:
        DataError: it has a column of a type that Polars does not know: then it reads none of the file.
    """
    if source.format is Format.PARQUET:
        frame = pl.scan_parquet(source.path, glob=False, hive_partitioning=False)
        try:
            frame.collect_schema()
        except UNREADABLE:
            if unknown := find_unknown_types(source.path):
                columns = ", ".join(f"{column} ({kind})" for column, kind in unknown.items())
                what = f"the file cannot be read because of the type of a column: {columns}"
                remedy = "write the file without it, or write it as text: CAST(… AS VARCHAR)"
                raise DataError(what, where=source.name, remedy=remedy) from None
            raise
        return frame
    with source.path.open("rb") as file:
        is_file = file.read(len(_ARROW_FILE)) == _ARROW_FILE
    if not is_file:
        return pl.read_ipc_stream(source.path).lazy()
    return pl.scan_ipc(source.path, glob=False, hive_partitioning=False)


def is_interval(dtype: pl.DataType) -> bool:
    """Whether a type is, or has in it, an INTERVAL, of which Polars knows the name and not the values."""
    if isinstance(dtype, pl.Struct):
        fields = {field.name: field.dtype for field in dtype.fields}
        return fields.keys() == _INTERVAL or any(is_interval(as_instance(inner)) for inner in fields.values())
    return isinstance(dtype, pl.List | pl.Array) and is_interval(as_instance(dtype.inner))


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
