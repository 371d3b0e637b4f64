"""The plan's Parquet files: names of columns, writing, reading a lease, and the proof that they balance."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from engine.errors import DataError
from engine.store.folder import PRIVATE_FILE, sync_folder, translate_os_errors

RECIPIENTS_FILE = "recipients-0000.parquet"
EXCLUDED_FILE = "excluded-0000.parquet"

# The plan's own columns of recipients; the audience's columns follow.
RECIPIENT_COLUMNS = ("row", "file", "line", "address", "key")
EXCLUDED_COLUMNS = ("row", "file", "line", "address", "reason", "detail")
_PREFIX = "audience."


@dataclass(frozen=True)
class LeaseRange:
    """The rows of one lease.

    Attributes:
        ordinal: its number in the plan's order, from 0.
        file: the recipients file, inside the plan's folder.
        first_row: how many rows of that file stand before it.
        rows: how many it has.
    """

    ordinal: int
    file: str
    first_row: int
    rows: int


def stored_name(column: str) -> str:
    """Name the column of a recipients file that holds a column of the audience: the same, unless the plan uses it.

    >>> [stored_name(column) for column in ("city", "address", "audience.address")]
    ['city', 'audience.address', 'audience.audience.address']
    """
    return _PREFIX + column if column in RECIPIENT_COLUMNS or column.startswith(_PREFIX) else column


def content_of(lease: pl.DataFrame, columns: Iterable[str]) -> pl.DataFrame:
    """Take the audience's columns out of a lease, under their own names: what templates see.

    Args:
        lease: rows of a recipients file.
        columns: names as the audience has them (`Plan.columns`).
    """
    return lease.select(pl.col(stored_name(column)).alias(column) for column in columns)


def divide(recipients: int, rows_per_lease: int) -> tuple[LeaseRange, ...]:
    """Divide the recipients file into leases, in order and without gaps."""
    starts = range(0, recipients, rows_per_lease)
    return tuple(
        LeaseRange(ordinal, RECIPIENTS_FILE, start, min(rows_per_lease, recipients - start))
        for ordinal, start in enumerate(starts)
    )


def write_plan_file(path: Path, frame: pl.DataFrame, *, row_group_rows: int) -> None:
    """Write a Parquet file durably, readable by its owner alone; one that was there is replaced.

    Raises:
        PausedError: the disk is full or failing.
        ConfigurationError: the folder may not be written.
    """
    aside = path.with_name(f".{path.name}")
    with translate_os_errors(path):
        aside.unlink(missing_ok=True)
        try:
            descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
            with os.fdopen(descriptor, "w+b") as file:
                frame.write_parquet(file, compression="zstd", row_group_size=row_group_rows)
                file.flush()
                os.fsync(file.fileno())
            aside.rename(path)
        finally:
            aside.unlink(missing_ok=True)
        sync_folder(path.parent)


def read_lease(folder: Path, lease: LeaseRange) -> pl.DataFrame:
    """Read the rows of one lease, and of the file little more than these.

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
    try:
        frame = pl.scan_parquet(path, glob=False).slice(lease.first_row, lease.rows).collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _damaged(f"the plan cannot be read: {str(error).splitlines()[0]}", path) from error
    if frame.height != lease.rows:
        raise _damaged(f"the plan has {frame.height} rows where lease {lease.ordinal} has {lease.rows}", path)
    return frame


def prove_balance(folder: Path, *, rows_read: int, accepted: int, excluded: Mapping[str, int]) -> None:
    """Read the files back: every row from 1 to `rows_read` is in one of them, once, and the counts are theirs.

    Raises:
        DataError: they do not balance.
    """
    recipients = pl.read_parquet(folder / RECIPIENTS_FILE, columns=["row"], glob=False)
    exclusions = pl.read_parquet(folder / EXCLUDED_FILE, columns=["row", "reason"], glob=False)
    rows = pl.concat([recipients.get_column("row"), exclusions.get_column("row")]).sort()
    complete = rows.equals(pl.int_range(1, rows_read + 1, dtype=pl.UInt64, eager=True))
    counted = dict(exclusions.group_by("reason").len().iter_rows())
    if not complete or recipients.height != accepted or counted != dict(excluded):
        raise _damaged("the plan as written does not balance", folder)


def _damaged(what: str, path: Path) -> DataError:
    return DataError(what, where=str(path), remedy="restore the file, or plan a run under another key")
