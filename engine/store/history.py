"""The messages that were sent to each address, for frequency caps: a Parquet file for every settled lease, by day."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from engine.store.day_folders import find_day_files, write_day_file
from engine.store.port import Store

HISTORY_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "key": pl.String,
    "run": pl.String,
    "at": pl.Datetime("ms", "UTC"),
}
HISTORY = "history"


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
    rows = messages.select("key", pl.lit(run).alias("run"), pl.col("at").cast(pl.Datetime("ms", "UTC")))
    name = f"{run.replace('/', '--')}-lease-{lease:05d}"
    write_day_file(store, HISTORY, day, name, rows.select(*HISTORY_SCHEMA))


def find_history(root: Path, since: datetime) -> list[Path]:
    """Find the files that may have messages since a time, sorted.

    A message may be in two files if a crash came between a settlement and its record, and the day changed. A run has
    one message for each address, so `key` and `run` together identify it.
    """
    return find_day_files(root / HISTORY, since.astimezone(UTC).date())
