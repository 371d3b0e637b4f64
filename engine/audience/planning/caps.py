"""`[cap]`: addresses that reached the frequency cap, from the history in the store."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
from msgspec import Struct

from engine.audience.planning.partitions import HASH, Partitions
from engine.audience.planning.scratch import Scratch
from engine.audience.planning.threads import work_through
from engine.audience.spec import CapSpec
from engine.errors import DataError
from engine.store.history import HISTORY_SCHEMA, find_history

SHELVED = {HASH: pl.UInt64, "key": pl.String, "run": pl.String}
# Lease files are small; a thread reads this many at once.
_FILES_AT_ONCE = 64


class Cap(Struct, frozen=True):
    """A frequency cap and the messages that it counts.

    Attributes:
        spec: the number of messages and of days.
        shelves: the messages of these days, by partition.
        partitions: how the messages are partitioned.
    """

    spec: CapSpec
    shelves: Scratch[None]
    partitions: Partitions

    def take(self, partition: int) -> pl.DataFrame:
        """Read the addresses of a partition that reached the cap: `HASH`, `same` (the address's identity), `detail`."""
        parts = [messages for _, messages in self.shelves.take(partition)]
        messages = pl.concat([pl.DataFrame(schema=SHELVED), *parts])
        same = self.partitions.identify(messages.get_column("key")).alias("same")
        # A message may be in two files, see find_history; a run has one for each address.
        counted = messages.with_columns(same).unique(["key", "run"]).group_by(HASH, "same").len("messages")
        enough = counted.filter(pl.col("messages") >= self.spec.messages)
        words = f"{{}} messages in the last {self.spec.days:g} days, and the cap is {self.spec.messages}"
        return enough.select(HASH, "same", detail=pl.format(words, "messages"))


def set_aside_history(
    spec: CapSpec, store: Path, now: datetime, *, partitions: Partitions, shelves: Scratch[None]
) -> Cap:
    """Read the history that a cap counts.

    Args:
        spec: the cap.
        store: the store's folder.
        now: the end of its days, timezone-aware.
        partitions: how the audience is partitioned.
        shelves: stores the messages.

    Raises:
        DataError: a file of the history is damaged.
    """
    shelve_messages(store, now - timedelta(days=spec.days), partitions=partitions, shelves=shelves)
    return Cap(spec, shelves, partitions)


def shelve_messages(store: Path, since: datetime, *, partitions: Partitions, shelves: Scratch[None]) -> None:
    """Read the messages since a time into scratch, by partition: `HASH`, `key`, `run`.

    Raises:
        DataError: a file of the history is damaged.
    """
    files = find_history(store, since)
    groups = [files[start : start + _FILES_AT_ONCE] for start in range(0, len(files), _FILES_AT_ONCE)]
    for parts in work_through(groups, lambda group: _divide(group, since, partitions)):
        for part, messages in parts:
            shelves.put(part, messages, None)


def _divide(files: Sequence[Path], since: datetime, partitions: Partitions) -> list[tuple[int, pl.DataFrame]]:
    try:
        found = pl.read_parquet(list(files), glob=False, hive_partitioning=False).select(*HISTORY_SCHEMA)
    except (OSError, pl.exceptions.PolarsError) as error:
        what = f"the history cannot be read: {str(error).splitlines()[0]}"
        remedy = "restore the file, or remove [cap] and insights from campaign.toml"
        raise DataError(what, where=str(files[0].parent), remedy=remedy) from error
    recent = found.filter(pl.col("at") > since)
    return list(partitions.split(recent.with_columns(partitions.hash(recent.get_column("key"))).select(*SHELVED)))
