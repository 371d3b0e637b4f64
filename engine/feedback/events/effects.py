"""What events change in the ledger: flags and counts of recipients, transient bounces, suppressions.

All data from files is read before. One transaction then applies a batch of events; batches may be applied repeatedly
and in any order.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import polars as pl
from msgspec import Struct, field
from sqlalchemy import Connection

from engine.feedback.events.agents import MACHINES
from engine.feedback.events.rules import EventAction, EventRule, find_rule
from engine.ledger import event_flags, runs
from engine.ledger.event_flags import BY_PEOPLE, Flag, NewFlags, SoftBounce
from engine.ledger.suppressed.reasons import Reason
from engine.ledger.suppressed.suppressions import Suppression, merge_event_suppressions


class SoftRule(Struct, frozen=True):
    """How many transient bounces suppress an address: `bounces` messages within `days`."""

    bounces: int
    days: int


class RunEvents(Struct, frozen=True):
    """The events of one run, with the necessary data of its plan.

    Attributes:
        run: CAMPAIGN/KEY.
        events: EVENT_SCHEMA and PLACE_SCHEMA, and what `add_rules` adds.
        rows: the sizes of the run's leases, by ordinal.
        domains: the receivers that are counted by themselves.
        topic: of the campaign's `[suppression]`; empty where it has none.
        ses_topic: SES's name for it, where SES manages the opt-outs.
    """

    run: str
    events: pl.DataFrame
    rows: Mapping[int, int]
    domains: Collection[str]
    topic: str
    ses_topic: str


class _Addresses(Struct):
    """Suppressions and bounces from events: processed for the first time (`new`, `strikes`), or again."""

    new: list[Suppression] = field(default_factory=list)
    again: list[Suppression] = field(default_factory=list)
    strikes: list[SoftBounce] = field(default_factory=list)
    strikes_again: list[SoftBounce] = field(default_factory=list)


def add_rules(events: pl.DataFrame, oldest_strike: datetime) -> pl.DataFrame:
    """Add what each event does: `flags` (UInt16), and `acts` (the address may be suppressed for it).

    Args:
        events: EVENT_SCHEMA.
        oldest_strike: transient bounces before that are only counted, as if they had come in time and been deleted
            since.
    """
    kinds = [(*pair, _find_rule(*pair)) for pair in events.select("kind", "subtype").unique().iter_rows()]
    rows = [(kind, subtype, int(rule.flags), rule.action is not EventAction.NOTHING) for kind, subtype, rule in kinds]
    schema = {"kind": pl.String, "subtype": pl.String, "flags": pl.UInt16, "acts": pl.Boolean}
    rules = pl.DataFrame(rows, schema=schema, orient="row")
    ruled = events.join(rules, on=["kind", "subtype"], how="left", maintain_order="left")
    is_old = (pl.col("flags").and_(int(Flag.STRIKE)) > 0) & (pl.col("at") < oldest_strike)
    by_machine = pl.col("agent").is_in(sorted(MACHINES)).fill_null(value=False)
    ruled = ruled.with_columns(
        pl.when(by_machine).then(pl.col("flags").and_(int(~BY_PEOPLE))).otherwise("flags").alias("flags")
    )
    return ruled.with_columns(
        pl.when(is_old).then(pl.col("flags").and_(int(~Flag.STRIKE))).otherwise("flags").alias("flags"),
        pl.when(is_old).then(statement=False).otherwise("acts").alias("acts"),
    )


@lru_cache(maxsize=1000)
def _find_rule(kind: str, subtype: str) -> EventRule:
    return find_rule(kind, subtype)


def apply_events(
    tx: Connection, parts: Sequence[RunEvents], *, soft_rule: SoftRule, oldest_strike: datetime
) -> tuple[int, int]:
    """Apply a batch of events.

    Args:
        tx: a write transaction.
        parts: by run, in the order of their names.
        soft_rule: how many transient bounces suppress an address.
        oldest_strike: older ones do not count.

    Returns:
        How many rows changed, and how many addresses were added to the suppression list.
    """
    addresses = _Addresses()
    changed = sum([_apply_to_run(tx, part, addresses) for part in parts])
    # Last and all at once: two intakes write the same rows in one order, and never deadlock.
    new, again = _count_strikes(tx, addresses, soft_rule, oldest_strike)
    return changed, merge_event_suppressions(tx, [*addresses.new, *new], [*addresses.again, *again])


def _apply_to_run(tx: Connection, part: RunEvents, addresses: _Addresses) -> int:
    """Apply the events of one run, and collect suppressions and bounces; return how many rows changed."""
    grouped = part.events.group_by("lease").agg("index", "flags")
    additions = {lease: zip(indexes, flags, strict=True) for lease, indexes, flags in grouped.iter_rows()}
    new = event_flags.set_flags(tx, part.run, additions, part.rows)
    if new:
        event_flags.add_domain_counts(tx, part.run, _group_by_domain(part, new))
    known = runs.find_run(tx, part.run)
    if known is not None and not known.sandbox:  # the bounces of a sandbox are not real
        _collect(part, new, addresses)
    return len(new)


def _group_by_domain(part: RunEvents, new: list[NewFlags]) -> dict[str, list[int]]:
    domain = pl.col("key").str.extract("@(.*)$")
    named = pl.when(domain.is_in(list(part.domains))).then(domain).otherwise(pl.lit("")).alias("domain")
    domains = part.events.select("lease", "index", named).unique(["lease", "index"])
    grouped = domains.join(_to_frame(new), on=["lease", "index"]).group_by("domain").agg("new")
    return dict(grouped.iter_rows())


def _collect(part: RunEvents, new: list[NewFlags], addresses: _Addresses) -> None:
    acting = part.events.filter(pl.col("acts"), pl.col("key").is_not_null())
    acting = acting.join(_to_frame(new), on=["lease", "index"], how="left", maintain_order="left")
    for event in acting.iter_rows(named=True):
        rule = _find_rule(event["kind"], event["subtype"])
        # One flag means opt-outs of any topic: each counts, so that none is lost.
        is_new = rule.action is EventAction.OPT_OUT or bool((event["new"] or 0) & rule.flags & ~Flag.PROVEN)
        if rule.action is EventAction.COUNT:
            is_new = bool((event["new"] or 0) & Flag.STRIKE)
            strike = SoftBounce(event["key"], part.run, event["row"], event["at"], event["id"])
            (addresses.strikes if is_new else addresses.strikes_again).append(strike)
        else:
            (addresses.new if is_new else addresses.again).extend(_make_suppressions(part, event, rule))


def _make_suppressions(part: RunEvents, event: dict[str, Any], rule: EventRule) -> list[Suppression]:
    topics = [""]
    if rule.action is EventAction.OPT_OUT and event["topics"] != "*":
        named = event["topics"].split(",") if event["topics"] else [part.topic]
        topics = [part.topic if topic == part.ses_topic and part.topic else topic for topic in named]
    assert rule.reason is not None  # noqa: S101 - every rule that acts has one
    address = event["sent_to"] or event["address"]  # SES's own list needs it
    return [
        Suppression(event["key"], topic, rule.reason, f"run {part.run}", event["at"], event["id"], address)
        for topic in topics
    ]


def _count_strikes(
    tx: Connection, addresses: _Addresses, rule: SoftRule, oldest: datetime
) -> tuple[list[Suppression], list[Suppression]]:
    """Count transient bounces; returns the suppressions for them, those with a new bounce first."""
    if not addresses.strikes and not addresses.strikes_again:
        return [], []
    event_flags.count_soft_bounces(tx, addresses.strikes, addresses.strikes_again)
    fresh = {item.key for item in addresses.strikes}
    due: tuple[list[Suppression], list[Suppression]] = ([], [])
    keys = fresh | {item.key for item in addresses.strikes_again}
    for key, bounces in event_flags.find_soft_bounces(tx, keys).items():
        last = find_last_straw([item for item in bounces if item.at >= oldest], rule)
        if last is not None:
            source = f"run {last.run}"
            suppression = Suppression(key, "", Reason.SOFT_BOUNCES, source, last.at, last.event)
            due[0 if key in fresh else 1].append(suppression)
    return due


def find_last_straw(bounces: Sequence[SoftBounce], rule: SoftRule) -> SoftBounce | None:
    """Find the bounce that reaches the limit of the rule; None if there is none.

    Args:
        bounces: of one address, the earliest first.
        rule: how many within how many days.
    """
    window = timedelta(days=rule.days)
    for first, last in zip(bounces, bounces[rule.bounces - 1 :], strict=False):
        if last.at - first.at <= window:
            return last
    return None


def _to_frame(new: list[NewFlags]) -> pl.DataFrame:
    columns = [(item.lease, item.index, int(item.flags)) for item in new]
    return pl.DataFrame(columns, schema={"lease": pl.UInt32, "index": pl.UInt32, "new": pl.UInt16}, orient="row")
