"""Parquet files in the store by day, `NAME/day=2026-11-30/*.parquet`: a time is read, and what is old is removed."""

import io
from datetime import date
from pathlib import Path

import polars as pl

from engine.store.port import Store

_DAY = "day="


def write_day_file(store: Store, folder: str, day: date, name: str, rows: pl.DataFrame) -> None:
    """Write a file of a day; an existing one is replaced.

    Args:
        store: where.
        folder: of the store, such as history.
        day: whose it is.
        name: of the file, without its ending.
        rows: what to write.

    Raises:
        PausedError: the disk is full or failing.
        ConfigurationError: the store may not be written.
    """
    _write(store, f"{folder}/{_DAY}{day.isoformat()}/{name}.parquet", rows)


def find_day_files(folder: Path, since: date) -> list[Path]:
    """Find the files of a day and later ones, sorted.

    Args:
        folder: as `Store.fetch` returns it.
        since: the first day.
    """
    days = (one for one in folder.glob(f"{_DAY}*") if _read_day(one.name) >= since)
    return sorted(path for day in days for path in day.glob("*.parquet"))


def erase_key(store: Store, folder: str, key: str) -> None:
    """Write the files again without the rows of an address (column `key`).

    Raises:
        PausedError: the disk is full or failing.
    """
    local = store.fetch(folder)
    for path in find_day_files(local, date.min):
        rows = pl.read_parquet(path, hive_partitioning=False)
        others = rows.filter(pl.col("key") != key)
        if others.height < rows.height:
            _write(store, f"{folder}/{path.relative_to(local).as_posix()}", others)


def prune_days(store: Store, folder: str, before: date) -> list[date]:
    """Remove the days before a day; returns them."""
    days = sorted(_read_day(name) for name in store.list_folders(folder) if name.startswith(_DAY))
    old = [day for day in days if day < before]
    for day in old:
        store.delete_folder(f"{folder}/{_DAY}{day.isoformat()}")
    return old


def _write(store: Store, key: str, rows: pl.DataFrame) -> None:
    buffer = io.BytesIO()
    rows.write_parquet(buffer)
    store.write(key, buffer.getvalue())


def _read_day(name: str) -> date:
    return date.fromisoformat(name.removeprefix(_DAY))
