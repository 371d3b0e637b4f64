"""Figures of a run by plain Polars over the Parquet files of a store, in the most obvious way: to compare with."""

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from engine.feedback.events.agents import MACHINES
from engine.feedback.events.event_files import DAMAGED, EVENT_SCHEMA
from engine.feedback.events.rules import find_rule
from engine.ledger.event_flags import SHOWN, Flag
from engine.report.figures.document import Breakdown, Figures


def read_plain_events(store: Path, run: str) -> pl.DataFrame:
    """Read the events of a run, each once."""
    files = sorted((store / "events").glob("day=*/*.parquet"))
    if not files:
        return pl.DataFrame(schema=EVENT_SCHEMA)
    frames = [pl.read_parquet(file, hive_partitioning=False) for file in files]
    mine = pl.concat(frames).filter(pl.col("run") == run, pl.col("match") != DAMAGED)
    return mine.unique("id").sort("at", "id")


def read_flags(events: pl.DataFrame) -> dict[int, Flag]:
    """Add up the flags of the rules by row."""
    flags: dict[int, Flag] = {}
    for kind, subtype, row, agent in events.select("kind", "subtype", "row", "agent").iter_rows():
        found = find_rule(kind, subtype).flags
        if agent in MACHINES:
            found &= ~(Flag.OPENED_BY_PEOPLE | Flag.CLICKED_BY_PEOPLE)
        flags[row] = flags.get(row, Flag(0)) | found
    return flags


def count_flags(flags: dict[int, Flag]) -> dict[str, int]:
    return {name: sum(Flag[name.upper()] in bits for bits in flags.values()) for name in SHOWN}


def read_outcomes(store: Path, run: str) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(file) for file in sorted((store / "runs" / run / "outcomes").glob("*.parquet"))])


def read_plan(store: Path, run: str, kind: str) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(file) for file in sorted((store / "runs" / run / "plan").glob(f"{kind}-*"))])


def check_against_files(figures: Figures, store: Path, *, opt_outs: int = 0) -> None:
    """Check that every figure is what the files say.

    Args:
        figures: of a run whose leases are all settled.
        store: the store's folder.
        opt_outs: recipients whose opt-out by a link no event reports.
    """
    run = figures.run
    outcomes, plan, excluded = (
        read_outcomes(store, run), read_plan(store, run, "recipients"), read_plan(store, run, "excluded"),
    )  # fmt: skip
    of_outcomes = Counter(outcomes["outcome"])
    assert {one.outcome: one.recipients for one in figures.outcomes if one.recipients} == of_outcomes
    assert {name: figures.accounts[name] for name in of_outcomes} == of_outcomes
    assert figures.accounts["accepted"] == plan.height
    assert {cause.name: cause.rows for cause in figures.exclusions} == Counter(excluded["reason"])
    for one in figures.outcomes:
        if one.outcome in ("refused", "failed", "in_doubt"):
            assert sum(cause.rows for cause in one.reasons) == one.recipients
    line = figures.time_line
    assert sum(line.sent) == of_outcomes["sent"]
    assert sum(line.failed) == of_outcomes["refused"] + of_outcomes["failed"]
    _check_events(figures, read_plain_events(store, run), opt_outs)
    _check_tables(figures, plan, outcomes)


def _check_events(figures: Figures, events: pl.DataFrame, opt_outs: int) -> None:
    flags = read_flags(events)
    expected = count_flags(flags)
    expected["unsubscribed"] += opt_outs
    assert dict(figures.feedback) == expected, (figures.feedback, expected)
    for kind, flag in (("hard", Flag.BOUNCED), ("soft", Flag.SOFT_BOUNCED)):
        rows = sum(flag in bits for bits in flags.values())
        assert sum(one.recipients for one in figures.bounces if one.kind == kind) == rows
    assert figures.opens.people == expected["opened_by_people"]
    assert figures.opens.people + sum(figures.opens.machines.values()) == expected["opened"]
    clicks = events.filter(pl.col("kind") == "Click")
    by_machine = clicks["agent"].is_in(sorted(MACHINES)).fill_null(value=False)
    assert sum(link.clicks for link in figures.links) == int((~by_machine).sum())
    assert sum(link.machine_clicks for link in figures.links) == int(by_machine.sum())
    by_position = Counter[Any]()
    for link in figures.links:
        by_position[link.position] += link.clicks + link.machine_clicks
    assert by_position == Counter(clicks["position"].to_list())
    ways = figures.unsubscribes
    assert ways.total == ways.ses + ways.one_click + ways.page + ways.mailto == expected["unsubscribed"]


def _check_tables(figures: Figures, plan: pl.DataFrame, outcomes: pl.DataFrame) -> None:
    tables = {table.by: table for table in figures.tables}
    joined = plan.join(outcomes.select("row", "outcome", "at"), on="row", how="left")
    domains = joined["key"].str.split("@").list.last()
    sent = domains.filter(joined["outcome"] == "sent")
    assert {row.value: (row.recipients, row.sent) for row in tables["receiver"].rows} == {
        domain: (count, Counter(sent)[domain]) for domain, count in Counter(domains).items()
    }
    hours = Counter(f"{at:%Y-%m-%dT%H}:00Z" for at in joined["at"] if at is not None)
    assert {row.value: row.recipients for row in tables["hour"].rows} == hours
    for table in tables.values():
        assert _add_up(table) == dict(figures.feedback)


def _add_up(table: Breakdown) -> dict[str, int]:
    return {name: sum(row.feedback[name] for row in table.rows) for name in SHOWN}
