"""The events of one run in the store: read by kind, in parts of bounded size, each event once.

All events of a recipient are in the same part, so that counts of recipients of the parts add up.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

import polars as pl
from msgspec import Struct

from engine.feedback.events.event_files import DAMAGED, EVENT_SCHEMA, list_days, scan_day
from engine.feedback.events.rules import find_rule
from engine.ledger.event_flags import Flag
from engine.store.port import Store

EVENTS_AT_ONCE = 500_000


class StoredEvents(Struct, frozen=True):
    """The events of one run.

    Attributes:
        frame: EVENT_SCHEMA; copies of an event have the same `id`.
        counts: kind and subtype -> events, with copies.
        at_once: events in memory, about.
    """

    frame: pl.LazyFrame
    counts: Mapping[tuple[str, str], int]
    at_once: int = EVENTS_AT_ONCE

    def count_kind(self, kind: str) -> int:
        """Count the events of a kind, with copies."""
        return sum(count for (known, _), count in self.counts.items() if known == kind)

    def read_parts(self, kind: str, columns: Collection[str]) -> Iterator[pl.DataFrame]:
        """Read the events of a kind, each `id` once, in the order of time: `id`, `row`, `at` and columns.

        Of several copies, one whose agent is not known is kept: the ledger has counted it as a person's.
        """
        total = self.count_kind(kind)
        parts = math.ceil(total / self.at_once)
        wanted = list(dict.fromkeys(["id", "row", "at", *columns]))
        mine = self.frame.filter(pl.col("kind") == kind).select(wanted)
        for part in range(parts):
            events = mine.filter(pl.col("row") % parts == part).collect(engine="streaming")
            order = [name for name in ("agent", "position") if name in wanted]
            kept = events.sort("id", *order, "at", nulls_last=[name == "position" for name in ("id", *order, "at")])
            kept = kept.unique("id", keep="first", maintain_order=True)
            yield kept.sort("at", "id")

    def find_subtypes(self, kind: str, flag: Flag) -> list[str]:
        """List the subtypes of a kind whose rule sets a flag."""
        return [subtype for known, subtype in self.counts if known == kind and flag in find_rule(kind, subtype).flags]


def read_run_events(store: Store, run: str, since: datetime, *, at_once: int = EVENTS_AT_ONCE) -> StoredEvents:
    """Open the events of a run, and count them by kind.

    Args:
        store: has the events.
        run: its name.
        since: no event of the run is older.
        at_once: events in memory, about.
    """
    days = [scan_day(store, day) for day in list_days(store) if day >= since.date()]
    mine = pl.concat([pl.LazyFrame(schema=EVENT_SCHEMA), *days]).filter(
        pl.col("run") == run, pl.col("match") != DAMAGED
    )
    found = mine.group_by("kind", "subtype").len().collect(engine="streaming")
    return StoredEvents(mine, {(kind, subtype): count for kind, subtype, count in found.iter_rows()}, at_once)
