"""Who got which campaign when, for frequency caps: a Parquet file for every settled lease, by day."""

import io
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from engine.store.folder import write_file

HISTORY_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "key": pl.String,
    "run": pl.String,
    "at": pl.Datetime("ms", "UTC"),
}
_DAY = "day="


def write_history(root: Path, run: str, lease: int, messages: pl.DataFrame, day: date) -> None:
    """Write the messages of a lease; a file that was there, from a settlement that a crash undid, is replaced.

    Args:
        root: the store's folder.
        run: CAMPAIGN/KEY.
        lease: its ordinal.
        messages: `key` (the normalised address) and `at` of every message that was handed over, also in doubt.
        day: of the settlement: no message is younger.

    Raises:
        PausedError: the disk is full or failing.
        ConfigurationError: the folder may not be written.
    """
    buffer = io.BytesIO()
    rows = messages.select("key", pl.lit(run).alias("run"), pl.col("at").cast(pl.Datetime("ms", "UTC")))
    rows.select(*HISTORY_SCHEMA).write_parquet(buffer)
    name = f"{run.replace('/', '--')}-lease-{lease:05d}.parquet"
    write_file(root / "history" / f"{_DAY}{day.isoformat()}" / name, buffer.getvalue())


def find_history(root: Path, since: datetime) -> list[Path]:
    """Find the files that may hold messages since a time, sorted.

    A message may be in two files, where a crash came between a settlement and its record on another day: a run has
    one message for each address, so `key` and `run` together name it.
    """
    first = since.astimezone(UTC).date()
    folders = (root / "history").glob(f"{_DAY}*")
    recent = (folder for folder in folders if date.fromisoformat(folder.name.removeprefix(_DAY)) >= first)
    return sorted(path for folder in recent for path in folder.glob("*.parquet"))
