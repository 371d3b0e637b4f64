"""What SES answered about addresses (GetEmailAddressInsights): paid for once, and kept in the store by day."""

import io
import uuid
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from engine.errors import DataError
from engine.store.port import Store

ANSWERED: Mapping[str, pl.DataType | type[pl.DataType]] = {"key": pl.String, "valid": pl.String, "reasons": pl.String}
INSIGHTS_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    **ANSWERED,
    "at": pl.Datetime("ms", "UTC"),
}
INSIGHTS = "insights"
KEPT = timedelta(days=90)  # then an address is asked about again: mailboxes are closed and opened
_DAY = "day="


def write_insights(store: Store, answers: pl.DataFrame, now: datetime) -> None:
    """Add answers.

    Args:
        store: keeps them.
        answers: `key` (the normalised address), `valid` (LOW, MEDIUM, HIGH; null where SES gave no verdict), `reasons`.
        now: when they were given, aware.

    Raises:
        PausedError: the disk is full or failing.
        ConfigurationError: the store may not be written.
    """
    buffer = io.BytesIO()
    answers.with_columns(at=pl.lit(now).cast(pl.Datetime("ms", "UTC"))).select(*INSIGHTS_SCHEMA).write_parquet(buffer)
    store.write(f"{INSIGHTS}/{_DAY}{now.date().isoformat()}/{uuid.uuid4().hex}.parquet", buffer.getvalue())


def read_insights(store: Store, now: datetime) -> pl.DataFrame:
    """Read the answers that are not older than KEPT; the last one for each address.

    Returns:
        Columns as INSIGHTS_SCHEMA.

    Raises:
        DataError: a file is damaged.
    """
    folder = store.fetch(INSIGHTS)
    first = (now - KEPT).date()
    files = [path for path in _find_files(folder) if _read_day(path.parent.name) >= first]
    nothing = pl.DataFrame(schema=INSIGHTS_SCHEMA)
    if not files:
        return nothing
    try:
        found = pl.read_parquet(files, glob=False, hive_partitioning=False).select(*INSIGHTS_SCHEMA)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"the insights cannot be read: {str(error).splitlines()[0]}",
            where=str(folder),
            remedy="restore the file, or remove the folder: the addresses are asked about again",
        ) from error
    return found.filter(pl.col("at") > now - KEPT).sort("at").unique("key", keep="last", maintain_order=True)


def erase_from_insights(store: Store, key: str) -> None:
    """Remove the answers about a forgotten address.

    Raises:
        PausedError: the disk is full or failing.
    """
    folder = store.fetch(INSIGHTS)
    for path in _find_files(folder):
        answers = pl.read_parquet(path, hive_partitioning=False)
        others = answers.filter(pl.col("key") != key)
        if others.height < answers.height:
            buffer = io.BytesIO()
            others.write_parquet(buffer)
            store.write(f"{INSIGHTS}/{path.relative_to(folder).as_posix()}", buffer.getvalue())


def prune_insights(store: Store, now: datetime) -> list[date]:
    """Remove the answers of days that are not used any more; returns the removed days."""
    first = (now - KEPT).date()
    days = sorted(_read_day(name) for name in store.list_folders(INSIGHTS) if name.startswith(_DAY))
    old = [day for day in days if day < first]
    for day in old:
        store.delete_folder(f"{INSIGHTS}/{_DAY}{day.isoformat()}")
    return old


def _find_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_DAY}*/*.parquet"))


def _read_day(name: str) -> date:
    return date.fromisoformat(name.removeprefix(_DAY))
