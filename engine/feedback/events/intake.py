"""Processes events: writes them durably to the store first, then applies their changes to the ledger in a transaction.

A crash between both leaves events in the store whose changes are not in the ledger. They are still in their queue or
file, and are applied when they are read again. Every step may be repeated, in any order.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from msgspec import Struct, field

from engine.clock import Clock
from engine.feedback.events.effects import RunEvents, SoftRule, add_rules, apply_events
from engine.feedback.events.envelopes import Opened, Passed, Quarantined
from engine.feedback.events.event_files import EVENT_SCHEMA, write_events, write_quarantine
from engine.feedback.events.matching import MATCHED, Matcher, make_frame
from engine.feedback.events.records import FeedbackEvent
from engine.ledger import event_flags
from engine.ledger.database import Ledger
from engine.store.port import Store

OTHER, _MOST_NAMES = "other", 50
_KEPT_LONGER = timedelta(days=14)  # the longest that a queue may delay an event


def _count(into: Counter[str], counts: Mapping[str, int]) -> None:
    """Add counts by a name that others chose: of names beyond _MOST_NAMES, all together are OTHER."""
    for name, count in counts.items():
        into[name if name in into or len(into) < _MOST_NAMES else OTHER] += count


class EventTally(Struct):
    """Counts of the documents that were read, and of their changes.

    Attributes:
        documents: messages of a queue, or documents of files.
        passed: notices and notifications of inbound mail.
        malformed: data that is not an event, stored.
        forged: SNS notifications that were refused and quarantined.
        events: one for each recipient; copies within a batch once.
        kinds: kind -> events.
        matches: how they were matched or why not -> events.
        changed: recipients with new flags.
        suppressed: addresses that came onto the suppression list.
        settled: recipients in doubt that were settled.
        reasons: why data was quarantined -> documents.
        runs: the runs that events belong to.
        newest_at: Unix time at which the newest event happened; None where there was none.
        last_at: Unix time at which the newest event of the last batch with events happened.
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
    newest_at: float | None = None
    last_at: float | None = None

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


class Intake:
    """Takes batches of what was read.

    Args:
        ledger: gets the flags, counts and suppressions.
        store: gets the events.
        matcher: finds the recipients of events.
        soft_rule: when transient bounces suppress.
        clock: now.
    """

    def __init__(self, ledger: Ledger, store: Store, matcher: Matcher, *, soft_rule: SoftRule, clock: Clock) -> None:
        self._ledger = ledger
        self._store = store
        self._matcher = matcher
        self._soft_rule = soft_rule
        self._clock = clock
        self._touched: set[str] = set()
        self.tally = EventTally()

    def take(self, opened: Iterable[Opened], source: str) -> None:
        """Process a batch; when this returns, all of it is durable.

        Args:
            opened: the documents as envelopes.py reads them.
            source: their origin, for messages.

        Raises:
            MailrunError: store or ledger could not be written: the batch must be read again.
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

    def take_touched(self) -> set[str]:
        """Return the runs that events of batches since the last call belong to."""
        touched, self._touched = self._touched, set()
        return touched

    def _count_aside(self, aside: Sequence[Quarantined]) -> None:
        forged = sum(item.is_forged for item in aside)
        self.tally.forged += forged
        self.tally.malformed += len(aside) - forged
        _count(self.tally.reasons, Counter(item.reason for item in aside))

    def _take_events(self, events: list[FeedbackEvent]) -> None:
        matched = self._matcher.match(make_frame(events))
        write_events(self._store, matched.select(*EVENT_SCHEMA))
        ours = matched.filter(pl.col("match").is_in(MATCHED))
        parts = self._divide(add_rules(ours, self._oldest_strike))
        with self._ledger.write() as tx:
            changed, suppressed = apply_events(tx, parts, soft_rule=self._soft_rule, oldest_strike=self._oldest_strike)
        newest = max(event.at for event in events) / 1000
        self.tally.last_at, self.tally.newest_at = newest, max(newest, self.tally.newest_at or newest)
        self.tally.events += matched.height
        _count(self.tally.kinds, dict(matched.group_by("kind").len().iter_rows()))
        self.tally.matches.update(dict(matched.group_by("match").len().iter_rows()))
        self.tally.changed += changed
        self.tally.suppressed += suppressed
        found = set(ours["run"].unique())
        self.tally.runs |= found
        self._touched |= found

    def _divide(self, events: pl.DataFrame) -> list[RunEvents]:
        """Divide matched events by run, each with the necessary data of its plan."""
        parts = []
        for part in events.sort("run").partition_by("run", maintain_order=True):
            run: str = part["run"].item(0)
            plan = self._matcher.plan(run)
            rows, domains = self._matcher.list_rows(run), self._matcher.list_domains(run)
            parts.append(RunEvents(run, part, rows, domains, plan.topic, plan.ses_topic))
        return parts

    def tidy(self) -> None:
        """Remove transient bounces that are too old for any rule."""
        with self._ledger.write() as tx:
            event_flags.delete_old_soft_bounces(tx, self._oldest_strike)

    @property
    def _oldest_strike(self) -> datetime:
        """The time before which transient bounces are not counted, whether they were deleted or not."""
        return self._clock.now() - timedelta(days=self._soft_rule.days) - _KEPT_LONGER
