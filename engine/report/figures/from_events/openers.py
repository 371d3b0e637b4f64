"""Recipients whose message was opened: by people, or by machines alone."""

from collections import Counter

import polars as pl

from engine.feedback.events.agents import MACHINES
from engine.feedback.events.records import EventKind
from engine.report.figures.document import Opens
from engine.report.figures.from_events.run_events import StoredEvents

IS_PERSON = pl.col("agent").is_null() | ~pl.col("agent").is_in(sorted(MACHINES))
"""Whether a person is behind an event; an event of an earlier version does not say, and counts as a person's."""


def count_openers(events: StoredEvents) -> Opens:
    """Count recipients by who opened their message, each once."""
    people, machines = 0, Counter[str]()
    for part in events.read_parts(EventKind.OPEN, ["agent"]):
        opened = part.group_by("row").agg(IS_PERSON.any().alias("person"), pl.col("agent").first())
        people += int(opened["person"].sum())
        alone = opened.filter(~pl.col("person")).group_by("agent").len()
        machines.update(dict(alone.iter_rows()))
    return Opens(people, dict(sorted(machines.items(), key=lambda item: (-item[1], item[0]))))
