"""The canary: the first part of a run goes out, its events are awaited, and a gate decides whether the rest follows.

The plan's order is random, so the canary is its first recipients, whichever workers send to them. Its state is in the
ledger: which recipients have their outcome, and two decisions, that the canary was sent and that the gate was opened,
by its figures or by a person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from math import ceil
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection

from engine.audience.planning.lease_range import LeaseRange
from engine.campaign.spec_sections import CanarySpec, GuardSpec
from engine.ledger import event_counts, leases
from engine.ledger.decisions import Decision, list_decisions, record_decision
from engine.ledger.runs import Run
from engine.logs import get_logger
from engine.quantities import format_count
from engine.run.guard.evidence import read_totals
from engine.run.guard.judge import EventTotals
from engine.stopping.stop import StopCause, StopReason

SENT, PASSED, APPROVED = "canary sent", "canary passed", "approve"  # decisions
ENOUGH = 0.5  # share of the canary whose result must be known
FEWEST = 3  # bad events: with fewer, the share is not significant
BY_ITSELF = "mailrun"

log = get_logger()


class CanaryStage(StrEnum):
    """The stage of a canary."""

    SENDING = "sending"
    WAITING = "waiting"  # for events
    OPEN = "open"  # the rest follows


class CanaryState(Struct, frozen=True):
    """The state of a canary in the ledger.

    Attributes:
        sent_at: when its last recipient had an outcome; None before.
        opened_by: who opened the gate; None while it is closed.
        settled: ordinals of its leases that are settled.
        totals: the counts of events.
    """

    sent_at: datetime | None
    opened_by: str | None
    settled: frozenset[int]
    totals: EventTotals

    @property
    def stage(self) -> CanaryStage:
        """Where it is."""
        if self.opened_by is not None:
            return CanaryStage.OPEN
        return CanaryStage.SENDING if self.sent_at is None else CanaryStage.WAITING


def read_state(tx: Connection, run: str, *, last: int = -1) -> CanaryState:
    """Read where a run's canary is; the leases up to ordinal `last` are its own."""
    decisions = {d.what: d for d in reversed(list_decisions(tx, run))}  # the first of each kind
    opened = decisions.get(APPROVED) or decisions.get(PASSED)
    sent = decisions.get(SENT)
    return CanaryState(
        sent_at=None if sent is None else sent.at,
        opened_by=None if opened is None else opened.who,
        settled=leases.list_settled_until(tx, run, last),
        totals=read_totals(tx, run),
    )


def count_with_result(totals: EventTotals) -> int:
    """Count the recipients whose result (delivered or bounced) is known."""
    return totals.delivered + totals.bounced + totals.soft_bounced


def find_reasons_to_pause(totals: EventTotals, recipients: int, guard: GuardSpec) -> list[str]:
    """Return the reasons why the gate stays closed after the wait; empty where it opens.

    Args:
        totals: the run's counts of events.
        recipients: of the canary.
        guard: its limits. The gate is stricter than the guard: it compares the observed share, not the lower bound.
    """
    known, needed = count_with_result(totals), ceil(recipients * ENOUGH)
    reasons = []
    if known < needed:
        reasons.append(
            f"events arrived for {known:,} of {format_count(recipients, 'recipient')}; {needed:,} are needed"
        )
    bounces = max(1, totals.count_for_bounces(are_deliveries_reported=True))
    complaints = max(1, totals.count_for_complaints(are_deliveries_reported=True))
    for bad, judged, limit, words, key in (
        (totals.bounced, bounces, guard.max_bounce_rate, "bounced", "max_bounce_rate"),
        (totals.complained, complaints, guard.max_complaint_rate, "complained", "max_complaint_rate"),
    ):
        if bad >= FEWEST and bad > limit * judged:
            reasons.append(f"{bad:,} of {judged:,} {words}: {bad / judged:.2%}, and [guard] {key} is {limit:.2%}")
    return reasons


@dataclass(slots=True, kw_only=True)
class Canary:
    """A run's canary, as one worker sees it.

    Attributes:
        recipients: number of recipients in the canary.
        plan: the run's leases.
        is_open: the rest may follow.
    """

    run: str
    wait: timedelta
    recipients: int
    guard: GuardSpec
    plan: Sequence[LeaseRange]
    is_open: bool = False
    _parts: Mapping[int, int] = field(init=False)
    _done: set[int] = field(default_factory=set)
    _logged: CanaryStage | None = None

    def __post_init__(self) -> None:
        """Find its part of each lease."""
        starts = accumulate((lease.rows for lease in self.plan), initial=0)
        parts = ((lease.ordinal, self.recipients - start) for lease, start in zip(self.plan, starts, strict=False))
        self._parts = {ordinal: part for ordinal, part in parts if part > 0}

    @property
    def last(self) -> int | None:
        """The last lease that may be taken; None where all may."""
        return None if self.is_open else max(self._parts)

    @property
    def exhausted(self) -> frozenset[int]:
        """The leases whose canary recipients are all sent, so that no more may be sent now."""
        return frozenset() if self.is_open else frozenset(self._done)

    def find_part(self, ordinal: int) -> int | None:
        """Return how many of a lease's first rows may be sent to now; None for all."""
        return None if self.is_open else self._parts.get(ordinal, 0)

    def note_done(self, ordinal: int) -> None:
        """Record that all canary rows in a lease have their outcome."""
        self._done.add(ordinal)

    def read(self, tx: Connection, now: datetime) -> CanaryState | None:
        """Read its state, and record that it was sent; None where the rest may follow already."""
        if self.is_open:
            return None
        state = read_state(tx, self.run, last=max(self._parts))
        if state.stage is CanaryStage.SENDING and self._parts.keys() <= state.settled | self._done:
            record_decision(tx, Decision(self.run, now, BY_ITSELF, SENT, {"recipients": self.recipients}))
            return read_state(tx, self.run, last=max(self._parts))
        return state

    def decide(self, state: CanaryState, now: datetime) -> StopReason | None:
        """Open the gate if it passes or was opened; return the reason to pause if the wait is over and it does not."""
        self.is_open = state.stage is CanaryStage.OPEN
        self._log_stage(state)
        if not self.is_due(state, now):
            return None
        reasons = find_reasons_to_pause(state.totals, self.recipients, self.guard)
        if not reasons:
            return None
        is_short = count_with_result(state.totals) < ceil(self.recipients * ENOUGH)
        first = "Run mailrun events pull" if is_short else "See the events with mailrun status RUN"
        remedy = f"{first}, then launch again; or send the rest with --approve."
        return StopReason(StopCause.PAUSED, f"Canary: {'; '.join(reasons)}.", remedy)

    def is_due(self, state: CanaryState, now: datetime) -> bool:
        """Return whether the wait is over."""
        return state.stage is CanaryStage.WAITING and state.sent_at is not None and now >= state.sent_at + self.wait

    def record_passed(self, tx: Connection, now: datetime) -> None:
        """Open the gate by its figures, unless it is open."""
        state = read_state(tx, self.run)
        if state.opened_by is None:
            totals = state.totals
            figures = {name: getattr(totals, name) for name in event_counts.COUNTED}
            record_decision(tx, Decision(self.run, now, BY_ITSELF, PASSED, {"recipients": self.recipients} | figures))

    def _log_stage(self, state: CanaryState) -> None:
        if state.stage is self._logged:
            return
        self._logged = state.stage
        if state.stage is CanaryStage.WAITING and state.sent_at is not None:
            until = (state.sent_at + self.wait).isoformat(timespec="seconds")
            note = f"the first {self.recipients:,} were sent; waiting for events until {until}"
            log.info("canary.waiting", run=self.run, note=note)
        if state.stage is CanaryStage.OPEN:
            log.info("canary.open", run=self.run, by=state.opened_by, note="the remaining recipients follow")


def make_canary(
    run: str, spec: CanarySpec | None, guard: GuardSpec, plan: Sequence[LeaseRange], *, accepted: int
) -> Canary | None:
    """Make a run's canary; None where it has none, or no recipients are left after it."""
    if spec is None or accepted <= spec.recipients:
        return None
    return Canary(run=run, wait=spec.wait_time, recipients=spec.recipients, guard=guard, plan=plan)


def describe_canary(tx: Connection, run: Run, spec: CanarySpec | None) -> dict[str, Any] | None:
    """Describe a run's canary for `status`; None where it has none."""
    if spec is None or run.accepted <= spec.recipients:
        return None
    state = read_state(tx, run.name)
    until = None if state.sent_at is None else state.sent_at + spec.wait_time
    return {
        "recipients": spec.recipients,
        "stage": str(state.stage),
        "sent_at": None if state.sent_at is None else state.sent_at.isoformat(timespec="seconds"),
        "until": None if until is None else until.isoformat(timespec="seconds"),
        "opened_by": state.opened_by,
        "with_result": count_with_result(state.totals),
        "bounced": state.totals.bounced,
        "complained": state.totals.complained,
    }
