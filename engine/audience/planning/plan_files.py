"""The plan's Parquet files: column names, writing, reading a lease, and the balance check."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl
from msgspec import Struct

from engine.addresses.hashing import mix
from engine.audience.planning.lease_range import LeaseRange
from engine.audience.planning.threads import work_through
from engine.audience.reading.blanks import find_blank_texts, null_blanks
from engine.errors import DataError
from engine.store.files import PRIVATE_FILE, translate_os_errors
from engine.system.process_limits import describe_limit
from engine.transaction_guard import refuse_in_transaction

# The plan's own columns of recipients; the audience's columns follow.
RECIPIENT_COLUMNS = ("row", "file", "line", "address", "key")
_PREFIX = "audience."
_WORD = 2**64
# Three quarters of the time of Zstandard (level 1), for half as many bytes more; every reader of Parquet knows it.
_COMPRESSION: Final = "snappy"
_ROWS_AT_ONCE = 1_000_000
# Names of columns that planning needs in addition to the audience's own.
SCRATCH_PREFIX = "plan."


def stored_name(column: str) -> str:
    """Return the name of an audience column in a recipients file: the same, unless the plan uses that name.

    >>> [stored_name(column) for column in ("city", "address", "audience.address")]
    ['city', 'audience.address', 'audience.audience.address']
    """
    is_taken = column in RECIPIENT_COLUMNS or column.startswith((_PREFIX, SCRATCH_PREFIX))
    return _PREFIX + column if is_taken else column


def recipients_file(number: int) -> str:
    """Return the name of a recipients file in the plan's folder."""
    return f"recipients-{number:04d}.parquet"


def excluded_file(number: int) -> str:
    """Return the name of an exclusions file in the plan's folder."""
    return f"excluded-{number:04d}.parquet"


def name_files(number: pl.Expr, files: Sequence[str]) -> pl.Expr:
    """Convert the numbers of tables to the names of their files."""
    return pl.lit(files[0], dtype=pl.String) if len(files) == 1 else pl.lit(pl.Series(files)).gather(number)


def content_of(lease: pl.DataFrame, columns: Iterable[str]) -> pl.DataFrame:
    """Return the audience's columns of a lease under their own names, as templates use them.

    A cell without a value is null, whether the format has nothing, blanks or NaN.

    Args:
        lease: rows of a recipients file.
        columns: their names in the audience (`Plan.columns`).
    """
    stored, schema = {column: stored_name(column) for column in columns}, lease.schema
    blanks = find_blank_texts(lease, [name for name in stored.values() if schema[name] == pl.String])

    def select(column: str, name: str) -> pl.Expr:
        if name not in blanks:
            return _content_column(column, schema)
        value = pl.col(name).alias(column)
        return pl.when(~value.is_in(blanks[name])).then(value) if blanks[name] else value

    return lease.select(select(column, name) for column, name in stored.items())


def _content_column(column: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    stored = stored_name(column)
    return null_blanks(pl.col(stored), schema[stored]).alias(column)


def count_nulls(folder: Path, columns: Iterable[str]) -> dict[str, int]:
    """Count the recipients for whom a column is null in templates.

    Args:
        folder: the plan's.
        columns: of the audience, as the plan carries them.
    """
    wanted = list(columns)
    if not wanted:
        return {}
    rows = pl.scan_parquet(folder / "recipients-*.parquet")
    schema = rows.collect_schema()
    counts = rows.select(_content_column(column, schema).null_count() for column in wanted).collect(engine="streaming")
    return dict(zip(counts.columns, counts.row(0), strict=True))


class RecipientsFile(Struct, frozen=True):
    """A file of recipients.

    Attributes:
        name: inside the plan's folder.
        rows: its recipients.
        lease_rows: the number of recipients in a lease.
    """

    name: str
    rows: int
    lease_rows: int


def divide(files: Iterable[RecipientsFile]) -> tuple[LeaseRange, ...]:
    """Divide the recipients into leases, in order and without gaps. A lease is in one file."""
    ranges = (
        (file.name, start, min(file.lease_rows, file.rows - start))
        for file in files
        for start in range(0, file.rows, file.lease_rows)
    )
    return tuple(LeaseRange(ordinal, *place) for ordinal, place in enumerate(ranges))


def write_plan_file(path: Path, frame: pl.DataFrame, *, row_group_rows: int) -> None:
    """Write a Parquet file that only its owner can read. An existing file is replaced.

    The file appears completely or not at all. It is not flushed to the disk: publishing a run flushes all of its files
    at once.

    Raises:
        PausedError: the disk is full or failing.
        ConfigurationError: the folder cannot be written.
    """
    aside = path.with_name(f".{path.name}")
    with translate_os_errors(path):
        aside.unlink(missing_ok=True)
        try:
            descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
            with os.fdopen(descriptor, "w+b") as file:
                frame.write_parquet(
                    file,
                    compression=_COMPRESSION,
                    statistics=False,  # useless in hash order
                    row_group_size=row_group_rows,
                )
            aside.rename(path)
        finally:
            aside.unlink(missing_ok=True)


def read_lease(folder: Path, lease: LeaseRange) -> pl.DataFrame:
    """Read the rows of one lease, and little more of the file.

    Args:
        folder: the plan's folder.
        lease: which rows.

    Returns:
        `row` UInt64, `file` String, `line` UInt64, `address` String, `key` String, then the audience's columns under
        their stored names (`content_of` gives their own).

    Raises:
        DataError: the file is missing, damaged or too short.
    """
    path = folder / lease.file
    refuse_in_transaction(path)
    try:
        frame = pl.scan_parquet(path, glob=False).slice(lease.first_row, lease.rows).collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        what = f"the plan cannot be read: {str(error).splitlines()[0]}"
        raise describe_limit(error) or _damaged(what, path) from error
    if frame.height != lease.rows:
        raise _damaged(f"the plan file has {frame.height} of the {lease.rows} rows of lease {lease.ordinal}", path)
    return frame


def iterate_lease_rows(folder: Path, leases: Iterable[LeaseRange]) -> Iterator[list[tuple[LeaseRange, pl.Series]]]:
    """Read the row ids of leases, many leases at a time: opening a file of many leases takes longer than reading one.

    Args:
        folder: the plan's folder.
        leases: in the plan's order.

    Yields:
        consecutive leases of a file, each with its rows' ids.

    Raises:
        DataError: a file is missing, damaged or too short.
    """
    together: list[LeaseRange] = []
    for lease in leases:
        is_next = bool(together) and (lease.file, lease.first_row) == (together[-1].file, _end_of(together[-1]))
        if together and (not is_next or _end_of(lease) - together[0].first_row > _ROWS_AT_ONCE):
            yield _read_rows(folder, together)
            together = []
        together.append(lease)
    if together:
        yield _read_rows(folder, together)


def _end_of(lease: LeaseRange) -> int:
    return lease.first_row + lease.rows


def _read_rows(folder: Path, leases: list[LeaseRange]) -> list[tuple[LeaseRange, pl.Series]]:
    path, first = folder / leases[0].file, leases[0].first_row
    rows = _end_of(leases[-1]) - first
    try:
        read = pl.scan_parquet(path, glob=False).select("row").slice(first, rows).collect()["row"]
    except (OSError, pl.exceptions.PolarsError) as error:
        what = f"the plan cannot be read: {str(error).splitlines()[0]}"
        raise describe_limit(error) or _damaged(what, path) from error
    if read.len() != rows:
        raise _damaged(f"the plan ends before its lease {leases[-1].ordinal}", path)
    return [(lease, read.slice(lease.first_row - first, lease.rows)) for lease in leases]


def prove_balance(folder: Path, *, rows_read: int, accepted: int, excluded: Mapping[str, int]) -> None:
    """Read the files back and check that they have every row from 1 to `rows_read` once, and that the counts match.

    The number of rows, the lowest, the highest, and the sum of a 64-bit hash of each prove that every row is there, and
    once: if one row were missing and another twice, the sum would be the same with a chance of 1 in 2^64. A list of all
    rows would grow with the audience.

    Raises:
        DataError: they do not balance.
    """
    kept = list(work_through(sorted(folder.glob("recipients-*.parquet")), _look_through))
    left_out = list(work_through(sorted(folder.glob("excluded-*.parquet")), _look_through))
    found = [*kept, *left_out]
    counted = sum((Counter(look.reasons) for look in left_out), Counter[str]())
    complete = (
        sum(look.rows for look in found) == rows_read
        and sum(look.hashes for look in found) % _WORD == _expected_sum(rows_read)
        and all(look.rows == 0 or (look.lowest >= 1 and look.highest <= rows_read) for look in found)
    )
    if not complete or sum(look.rows for look in kept) != accepted or counted != Counter(excluded):
        raise _damaged("the written plan does not balance", folder)


class _Look(Struct, frozen=True):
    """Figures of a file's rows."""

    rows: int
    lowest: int
    highest: int
    hashes: int
    reasons: Mapping[str, int]


def _look_through(path: Path) -> _Look:
    columns = ["row", "reason"] if "reason" in pl.read_parquet_schema(path) else ["row"]
    frame = pl.read_parquet(path, columns=columns, glob=False)
    rows = frame.get_column("row")
    reasons = dict(frame.group_by("reason").len().iter_rows()) if "reason" in columns else {}
    lowest, highest = frame.select(pl.col("row").min().fill_null(0).alias("l"), pl.col("row").max().fill_null(0)).row(0)
    return _Look(rows.len(), lowest, highest, _sum_hashes(rows), reasons)


def _expected_sum(rows_read: int) -> int:
    blocks = range(1, rows_read + 1, _ROWS_AT_ONCE)
    ends = (min(start + _ROWS_AT_ONCE, rows_read + 1) for start in blocks)
    ranges = (pl.int_range(start, end, dtype=pl.UInt64, eager=True) for start, end in zip(blocks, ends, strict=True))
    return sum(_sum_hashes(rows) for rows in ranges) % _WORD


def _sum_hashes(rows: pl.Series) -> int:
    """Return the sum of the rows' hashes, in 64 bits."""
    halves = (
        mix(rows)
        .to_frame("hash")
        .select((pl.col("hash") // 2**32).sum().alias("high"), (pl.col("hash") % 2**32).sum().alias("low"))
    )
    high, low = halves.row(0)
    return int(((high << 32) + low) % _WORD)


def _damaged(what: str, path: Path) -> DataError:
    return DataError(what, where=str(path), remedy="restore the file, or launch a run with another key")
