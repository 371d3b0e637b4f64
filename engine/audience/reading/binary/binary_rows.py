"""Read Parquet and Arrow files."""

import struct
from collections.abc import Iterator, Sequence

import polars as pl

from engine.audience.reading.binary.arrow_sizes import read_batch_sizes
from engine.audience.reading.binary.parquet_sizes import count_columns, read_group_sizes
from engine.audience.reading.binary.parquet_types import find_unknown_types
from engine.audience.reading.dtypes import as_instance
from engine.audience.reading.sources import AudienceSource, Format, unreadable
from engine.errors import DataError

# Polars panics on an INTERVAL unless it may read it as a struct; the other columns can then be read.
# Set through Polars' own settings, because Polars reads the environment once.
pl.Config.load('{"environment": {"POLARS_IMPORT_INTERVAL_AS_STRUCT": "1"}}')
_INTERVAL = {"months", "days", "nanoseconds"}
UNREADABLE = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)
_DAMAGED = (LookupError, RecursionError, TypeError, ValueError, struct.error)
BATCH_ROWS = 200_000
_ARROW_FILE = b"ARROW1"


def scan(source: AudienceSource) -> pl.LazyFrame:
    """Open a Parquet or Arrow file. An Arrow stream, which can only be read from its beginning, is read completely.

    Raises:
        DataError: a column has a type that Polars does not know: Polars then cannot read the file at all.
    """
    if source.format is Format.PARQUET:
        frame = pl.scan_parquet(source.path, glob=False, hive_partitioning=False)
        try:
            frame.collect_schema()
        except UNREADABLE:
            if unknown := find_unknown_types(source.path):
                columns = ", ".join(f"{column} ({kind})" for column, kind in unknown.items())
                what = f"the file cannot be read because of the type of a column: {columns}"
                remedy = "write the file without this column, or the column as text: CAST(… AS VARCHAR)"
                raise DataError(what, where=source.name, remedy=remedy) from None
            raise
        check_parquet(source)
        return frame
    _check_arrow(source)
    with source.path.open("rb") as file:
        is_file = file.read(len(_ARROW_FILE)) == _ARROW_FILE
    if not is_file:
        return pl.read_ipc_stream(source.path).lazy()
    return pl.scan_ipc(source.path, glob=False, hive_partitioning=False)


def check_parquet(source: AudienceSource) -> None:
    """Check the decompressed size of a Parquet file from its metadata.

    Raises:
        DataError: it exceeds the limit, or the file is damaged.
    """
    limits, total = source.limits, 0
    try:
        limits.check_columns(count_columns(source.path), source.name)
        for group in read_group_sizes(source.path):
            limits.check_batch(group.memory, source.name)
            total += max(group.unpacked, group.values)
            limits.check_unpacked(total, source.size_bytes, source.name)
    except _DAMAGED as error:
        raise unreadable(source, error) from error


def _check_arrow(source: AudienceSource) -> None:
    limits, total = source.limits, 0
    with source.path.open("rb") as file:
        is_file = file.read(len(_ARROW_FILE)) == _ARROW_FILE
    try:
        for batch in read_batch_sizes(source.path):
            total += batch.memory
            limits.check_batch(batch.memory if is_file else total, source.name)
            limits.check_unpacked(total, source.size_bytes, source.name)
    except _DAMAGED as error:
        raise unreadable(source, error) from error


def check_texts(cells: pl.DataFrame, source: AudienceSource) -> None:
    """Check the length of the texts in some rows: many cells may refer to the same text of a file.

    Raises:
        DataError: a text, or all of them together, exceeds the limit.
    """
    limits, total = source.limits, 0
    for column in cells:
        for texts in _find_texts(column):
            sizes = (texts.str.len_bytes() if texts.dtype == pl.String else texts.bin.size()).cast(pl.UInt64)
            if (sizes.max() or 0) > limits.line_bytes:  # type: ignore[operator] # a number
                limits.refuse_line(f"{source.name}, column {column.name}")
            total += int(sizes.sum())
    limits.check_batch(total, source.name)


def _find_texts(column: pl.Series) -> Iterator[pl.Series]:
    """Yield the texts and bytes in a column, including those in lists and structs."""
    dtype = column.dtype
    if isinstance(dtype, pl.String | pl.Binary):
        yield column
    elif isinstance(dtype, pl.List | pl.Array):
        yield from _find_texts(column.explode())
    elif isinstance(dtype, pl.Struct):
        for field in dtype.fields:
            yield from _find_texts(column.struct.field(field.name))


def is_interval(dtype: pl.DataType) -> bool:
    """Whether a type is or contains an INTERVAL, whose values Polars cannot read."""
    if isinstance(dtype, pl.Struct):
        fields = {field.name: field.dtype for field in dtype.fields}
        return fields.keys() == _INTERVAL or any(is_interval(as_instance(inner)) for inner in fields.values())
    return isinstance(dtype, pl.List | pl.Array) and is_interval(as_instance(dtype.inner))


def plain_type(dtype: pl.DataType) -> pl.DataType:
    """Return the type with categories as text: each batch has its own categories."""
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
