"""The messages that were sent to each address, for frequency caps: a Parquet file for every settled lease, by day."""

import io
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from engine.store.port import Store

HISTORY_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "key": pl.String,
    "run": pl.String,
    "at": pl.Datetime("ms", "UTC"),
}
HISTORY = "history"
_DAY = "day="


def write_history(store: Store, run: str, lease: int, messages: pl.DataFrame, day: date) -> None:
    """Write the messages of a lease; replaces a file of a settlement that a crash undid.

    Args:
        store: has the history.
        run: CAMPAIGN/KEY.
        lease: its ordinal.
        messages: `key` (the normalised address) and `at` of every message that was handed over, also in doubt.
        day: of the settlement; no message is newer.

    Raises:
        PausedError: the disk is full or failing.
        ConfigurationError: the store may not be written.
    """
    buffer = io.BytesIO()
    rows = messages.select("key", pl.lit(run).alias("run"), pl.col("at").cast(pl.Datetime("ms", "UTC")))
    rows.select(*HISTORY_SCHEMA).write_parquet(buffer)
    name = f"{run.replace('/', '--')}-lease-{lease:05d}.parquet"
    store.write(f"{HISTORY}/{_DAY}{day.isoformat()}/{name}", buffer.getvalue())


def find_history(root: Path, since: datetime) -> list[Path]:
    """Find the files that may have messages since a time, sorted.

    A message may be in two files if a crash came between a settlement and its record, and the day changed. A run has
    one message for each address, so `key` and `run` together identify it.
    """
    first = since.astimezone(UTC).date()
    folders = (root / HISTORY).glob(f"{_DAY}*")
    recent = (folder for folder in folders if date.fromisoformat(folder.name.removeprefix(_DAY)) >= first)
    return sorted(path for folder in recent for path in folder.glob("*.parquet"))


def erase_from_history(store: Store, key: str) -> None:
    """Remove the messages to a forgotten address: it gets no more mail, so no cap needs them.

    Raises:
        PausedError: the disk is full or failing.
    """
    folder = store.fetch(HISTORY)
    for path in sorted(folder.glob(f"{_DAY}*/*.parquet")):
        messages = pl.read_parquet(path, hive_partitioning=False)
        others = messages.filter(pl.col("key") != key)
        if others.height < messages.height:
            buffer = io.BytesIO()
            others.write_parquet(buffer)
            store.write(f"{HISTORY}/{path.relative_to(folder).as_posix()}", buffer.getvalue())


def prune_history(store: Store, before: date) -> list[date]:
    """Remove the history of days before a day; returns the removed days."""
    names = (name.removeprefix(_DAY) for name in store.list_folders(HISTORY) if name.startswith(_DAY))
    old = sorted(day for name in names if (day := date.fromisoformat(name)) < before)
    for day in old:
        store.delete_folder(f"{HISTORY}/{_DAY}{day.isoformat()}")
    return old
