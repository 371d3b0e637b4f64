"""Clicked links, by position."""

from collections.abc import Sequence

import polars as pl

from engine.feedback.events.records import EventKind
from engine.report.figures.document import Link
from engine.report.figures.from_events.link_patterns import LinkPattern, name_link
from engine.report.figures.from_events.openers import IS_PERSON
from engine.report.figures.from_events.run_events import StoredEvents

MOST = 100
OTHERS = "other links"
_COUNTS = ("recipients", "clicks", "machine_clicks")


def list_links(events: StoredEvents, patterns: Sequence[LinkPattern]) -> list[Link]:
    """List the clicked links, by position; those without one are the last.

    Args:
        events: of the run.
        patterns: of the campaign's links, the most specific first.
    """
    parts = [count_clicks(part, patterns) for part in events.read_parts(EventKind.CLICK, ["link", "position", "agent"])]
    if not parts:
        return []
    sums = pl.concat(parts).group_by("position", "url").agg(pl.col(_COUNTS).sum())
    ranked = sums.sort(
        ["recipients", "clicks", "machine_clicks", "position", "url"], descending=[True] * 3 + [False] * 2
    )
    largest = ranked.head(MOST).sort(
        ["position", "recipients", "clicks", "url"], descending=[False, True, True, False], nulls_last=True
    )
    links = [Link(*row) for row in largest.select("position", "url", *_COUNTS).iter_rows()]
    rest = ranked.slice(MOST)
    if not rest.is_empty():
        links.append(Link(None, OTHERS, *rest.select(pl.col(_COUNTS).sum()).row(0)))
    return links


def count_clicks(clicks: pl.DataFrame, patterns: Sequence[LinkPattern]) -> pl.DataFrame:
    """Count clicks by link: `position`, `url`, and who clicked; a person counts once for each link.

    Args:
        clicks: `row`, `link`, `position` and `agent`, each event once.
        patterns: of the campaign's links.
    """
    named = clicks.with_columns(name_link(pl.col("link"), patterns).alias("url"), IS_PERSON.alias("person"))
    return named.group_by("position", "url").agg(
        pl.col("row").filter(pl.col("person")).n_unique().cast(pl.Int64).alias("recipients"),
        pl.col("person").sum().cast(pl.Int64).alias("clicks"),
        (~pl.col("person")).sum().cast(pl.Int64).alias("machine_clicks"),
    )
