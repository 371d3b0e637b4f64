"""Taking events in: the volume durably into the store first, then what they change into the ledger, at once.

A crash between both leaves events that the ledger does not know yet; they are not deleted where they came from, and the
next time they come they change what they have to. Everything here may be done any number of times, in any order.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import polars as pl
from sqlalchemy import Connection

from engine.clock import Clock
from engine.feedback.events.envelopes import Opened, Passed, Quarantined
from engine.feedback.events.event_files import EVENT_SCHEMA, write_events, write_quarantine
from engine.feedback.events.matching import MATCHED, Matcher, make_frame
from engine.feedback.events.records import FeedbackEvent
from engine.feedback.events.rules import EventAction, EventRule, find_rule
from engine.ledger import event_flags, runs
from engine.ledger.database import Ledger
from engine.ledger.event_flags import Flag, NewFlags, SoftBounce
from engine.ledger.reasons import Reason
from engine.ledger.suppressions import Suppression, merge_event_suppressions
from engine.store.port import Store

_KEPT_LONGER = timedelta(days=14)  # as long as a queue may keep an event back


@dataclass(frozen=True, slots=True)
class SoftRule:
    """How many transient bounces suppress an address: `bounces` messages within `days`."""

    bounces: int
    days: int


@dataclass(slots=True)
class EventTally:
    """What was read, and what it changed.

    Attributes:
        documents: messages of a queue, or documents of files.
        passed: notices and notifications of inbound mail.
        malformed: what is no event, set aside.
        forged: SNS notifications that were refused, set aside.
        events: one for each recipient; copies within a batch once.
        kinds: kind -> events.
        matches: how they were matched or why not -> events.
        changed: recipients of whom something new was learnt.
        suppressed: addresses that came onto the suppression list.
        settled: recipients in doubt that were settled.
        reasons: why something was set aside -> documents.
        runs: the runs that events belong to.
    """

    documents: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    malformed: int = 0
    forged: int = 0
    events: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    matches: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    suppressed: int = 0
    settled: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    runs: set[str] = field(default_factory=set)

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `events … --json`."""
        return {
            "documents": self.documents,
            "events": self.events,
            "kinds": dict(sorted(self.kinds.items())),
            "matched": sum(self.matches[how] for how in MATCHED),
            "unmatched": {why: n for why, n in sorted(self.matches.items()) if why not in MATCHED},
            "notices": self.passed[Passed.NOTICE],
            "inbound": self.passed[Passed.INBOUND],
            "malformed": self.malformed,
            "forged": self.forged,
            "set_aside": dict(self.reasons.most_common()),
            "changed": self.changed,
            "suppressed": self.suppressed,
            "settled": self.settled,
            "runs": sorted(self.runs),
        }


@dataclass(slots=True)
class _Heard:
    """What events say of addresses: for the first time (`now`, `strikes`), or `again`."""

    now: list[Suppression] = field(default_factory=list)
    again: list[Suppression] = field(default_factory=list)
    strikes: list[SoftBounce] = field(default_factory=list)
    strikes_again: list[SoftBounce] = field(default_factory=list)


class Intake:
    """Takes batches of what was read.

    Args:
        ledger: takes the state.
        store: takes the volume.
        matcher: tells whose events they are.
        soft_rule: when transient bounces suppress.
        clock: now.
    """

    def __init__(self, ledger: Ledger, store: Store, matcher: Matcher, *, soft_rule: SoftRule, clock: Clock) -> None:
        self._ledger = ledger
        self._store = store
        self._matcher = matcher
        self._soft_rule = soft_rule
        self._clock = clock
        self.tally = EventTally()

    def take(self, opened: Iterable[Opened], source: str) -> None:
        """Take a batch in; when this returns, all of it is durable.

        Args:
            opened: what envelopes.py made of each document.
            source: where it is from, for people.

        Raises:
            MailrunError: store or ledger could not be written: the batch must come again.
        """
        events: list[FeedbackEvent] = []
        aside: list[Quarantined] = []
        for item in opened:
            self.tally.documents += 1
            if isinstance(item, list):
                events += item
            elif isinstance(item, Quarantined):
                aside.append(item)
            else:
                self.tally.passed[item] += 1
        write_quarantine(self._store, aside, source)
        self._count_aside(aside)
        if events:
            self._take_events(events)

    def _count_aside(self, aside: Sequence[Quarantined]) -> None:
        forged = sum(item.is_forged for item in aside)
        self.tally.forged += forged
        self.tally.malformed += len(aside) - forged
        self.tally.reasons.update(item.reason for item in aside)

    def _take_events(self, events: list[FeedbackEvent]) -> None:
        matched = self._matcher.match(make_frame(events))
        write_events(self._store, matched.select(*EVENT_SCHEMA))
        ours = matched.filter(pl.col("match").is_in(MATCHED))
        ruled = _pass_over_old_strikes(_add_rules(ours), self._oldest_strike)
        heard = _Heard()
        with self._ledger.write() as tx:
            parts = ruled.sort("run").partition_by("run", maintain_order=True)
            changed = sum([self._apply(tx, part, heard) for part in parts])
            # Last and all at once: what two intakes both touch, they touch in one order, and never wait for each other.
            suppressed = self._suppress(tx, heard)
        self.tally.events += matched.height
        self.tally.kinds.update(dict(matched.group_by("kind").len().iter_rows()))
        self.tally.matches.update(dict(matched.group_by("match").len().iter_rows()))
        self.tally.changed += changed
        self.tally.suppressed += suppressed
        self.tally.runs |= set(ours["run"].unique())

    def _apply(self, tx: Connection, events: pl.DataFrame, heard: _Heard) -> int:
        """Apply the events of one run, and note what they say of addresses; returns how many rows changed."""
        run: str = events["run"].item(0)
        grouped = events.group_by("lease").agg("index", "flags")
        additions = {lease: zip(indexes, flags, strict=True) for lease, indexes, flags in grouped.iter_rows()}
        new = event_flags.set_flags(tx, run, additions, self._matcher.list_rows(run))
        if new:
            self._count_domains(tx, run, events, new)
        known = runs.find_run(tx, run)
        if known is not None and not known.sandbox:  # the bounces of a sandbox say nothing about real people
            self._hear(run, events, new, heard)
        return len(new)

    def _count_domains(self, tx: Connection, run: str, events: pl.DataFrame, new: list[NewFlags]) -> None:
        large = self._matcher.list_domains(run)
        domain = pl.col("key").str.extract("@(.*)$")
        named = pl.when(domain.is_in(list(large))).then(domain).otherwise(pl.lit("")).alias("domain")
        domains = events.select("lease", "index", named).unique(["lease", "index"])
        grouped = domains.join(_to_frame(new), on=["lease", "index"]).group_by("domain").agg("new")
        event_flags.add_domain_counts(tx, run, dict(grouped.iter_rows()))

    def _hear(self, run: str, events: pl.DataFrame, new: list[NewFlags], heard: _Heard) -> None:
        acting = events.filter(pl.col("acts"), pl.col("key").is_not_null())
        acting = acting.join(_to_frame(new), on=["lease", "index"], how="left", maintain_order="left")
        for event in acting.iter_rows(named=True):
            rule = _find_rule(event["kind"], event["subtype"])
            # One flag stands for the opt-outs of all topics: each counts, lest one be lost.
            is_new = rule.action is EventAction.OPT_OUT or bool((event["new"] or 0) & rule.flags & ~Flag.PROVEN)
            if rule.action is EventAction.COUNT:
                is_new = bool((event["new"] or 0) & Flag.STRIKE)
                strike = SoftBounce(event["key"], run, event["row"], event["at"], event["id"])
                (heard.strikes if is_new else heard.strikes_again).append(strike)
            else:
                (heard.now if is_new else heard.again).extend(self._make_suppressions(run, event, rule))

    def _suppress(self, tx: Connection, heard: _Heard) -> int:
        """Suppress for what was heard; returns how many addresses came onto the list."""
        more_now, more_again = self._count_strikes(tx, heard.strikes, heard.strikes_again)
        return merge_event_suppressions(tx, [*heard.now, *more_now], [*heard.again, *more_again])

    def _make_suppressions(self, run: str, event: dict[str, Any], rule: EventRule) -> list[Suppression]:
        plan = self._matcher.plan(run)
        topics = [""]
        if rule.action is EventAction.OPT_OUT and event["topics"] != "*":
            named = event["topics"].split(",") if event["topics"] else [plan.topic]
            topics = [plan.topic if topic == plan.ses_topic and plan.topic else topic for topic in named]
        assert rule.reason is not None  # noqa: S101 - every rule that acts has one
        address = event["sent_to"] or event["address"]  # what SES's own list needs
        return [
            Suppression(event["key"], topic, rule.reason, f"run {run}", event["at"], event["id"], address)
            for topic in topics
        ]

    def _count_strikes(
        self, tx: Connection, new: list[SoftBounce], again: list[SoftBounce]
    ) -> tuple[list[Suppression], list[Suppression]]:
        """Count transient bounces; returns who is suppressed for them, those with a new one first."""
        if not new and not again:
            return [], []
        event_flags.count_soft_bounces(tx, new, again)
        fresh = {item.key for item in new}
        due: tuple[list[Suppression], list[Suppression]] = ([], [])
        oldest = self._oldest_strike
        for key, bounces in event_flags.find_soft_bounces(tx, fresh | {item.key for item in again}).items():
            last = find_last_straw([item for item in bounces if item.at >= oldest], self._soft_rule)
            if last is not None:
                source = f"run {last.run}"
                suppression = Suppression(key, "", Reason.SOFT_BOUNCES, source, last.at, last.event)
                due[0 if key in fresh else 1].append(suppression)
        return due

    def tidy(self) -> None:
        """Drop what no rule looks back to any more."""
        with self._ledger.write() as tx:
            event_flags.delete_old_soft_bounces(tx, self._oldest_strike)

    @property
    def _oldest_strike(self) -> datetime:
        """The time before which a transient bounce counts against nobody: whether it was tidied or never there."""
        return self._clock.now() - timedelta(days=self._soft_rule.days) - _KEPT_LONGER


def find_last_straw(bounces: Sequence[SoftBounce], rule: SoftRule) -> SoftBounce | None:
    """Find the bounce that makes them too many, the first such; None where they are not.

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


@lru_cache(maxsize=1000)
def _find_rule(kind: str, subtype: str) -> EventRule:
    return find_rule(kind, subtype)


def _add_rules(events: pl.DataFrame) -> pl.DataFrame:
    """Add `flags` and `acts` (the address may be suppressed for it)."""
    told = [(*pair, _find_rule(*pair)) for pair in events.select("kind", "subtype").unique().iter_rows()]
    rows = [(kind, subtype, int(rule.flags), rule.action is not EventAction.NOTHING) for kind, subtype, rule in told]
    schema = {"kind": pl.String, "subtype": pl.String, "flags": pl.UInt16, "acts": pl.Boolean}
    rules = pl.DataFrame(rows, schema=schema, orient="row")
    return events.join(rules, on=["kind", "subtype"], how="left", maintain_order="left")


def _pass_over_old_strikes(events: pl.DataFrame, oldest: datetime) -> pl.DataFrame:
    """Let old transient bounces be counted alone, as if they had been heard in time and tidied since."""
    is_old = (pl.col("flags").and_(int(Flag.STRIKE)) > 0) & (pl.col("at") < oldest)
    return events.with_columns(
        pl.when(is_old).then(pl.col("flags").and_(int(~Flag.STRIKE))).otherwise("flags").alias("flags"),
        pl.when(is_old).then(statement=False).otherwise("acts").alias("acts"),
    )
