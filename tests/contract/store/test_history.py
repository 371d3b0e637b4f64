"""The history of messages: who is forgotten is in it no more."""

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from engine.store.day_folders import erase_key
from engine.store.folder import FolderStore
from engine.store.history import HISTORY, find_history, write_history

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def test_an_address_is_erased_from_every_day_and_nobody_else_is(tmp_path: Path):
    store = FolderStore(tmp_path)
    messages = pl.DataFrame({"key": ["a@x.example", "b@x.example"], "at": [NOW, NOW]})
    for day in (23, 24):
        write_history(store, "welcome/1", 0, messages, date(2026, 11, day))
    erase_key(store, HISTORY, "a@x.example")
    kept = [
        pl.read_parquet(path, hive_partitioning=False)
        for path in find_history(tmp_path, datetime(2026, 11, 1, tzinfo=UTC))
    ]
    assert [frame["key"].to_list() for frame in kept] == [["b@x.example"], ["b@x.example"]]
    assert all(frame.columns == ["key", "run", "at"] for frame in kept)


def test_without_a_history_there_is_nothing_to_erase(tmp_path: Path):
    erase_key(FolderStore(tmp_path), HISTORY, "a@x.example")
    assert find_history(tmp_path, NOW) == []
