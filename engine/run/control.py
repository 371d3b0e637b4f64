"""Pausing, resuming and cancelling a run, from any terminal or machine: workers see it with their next heartbeat."""

from collections.abc import Callable

from sqlalchemy import Connection

from engine.clock import Clock
from engine.errors import UsageError
from engine.ledger import runs
from engine.ledger.database import Ledger
from engine.ledger.decisions import Decision, find_user, record_decision
from engine.ledger.event_counts import describe_counts
from engine.ledger.runs import Run
from engine.masking import mask_text
from engine.report.run_accounts import require_run
from engine.run.guard.canary import APPROVED
from engine.run.guard.evidence import RECENT


def pause(ledger: Ledger, name: str, *, reason: str, clock: Clock) -> Run:
    """Pause a run; its workers wait, and workers that start now wait as well, until it is resumed.

    Returns:
        The run as it is now.

    Raises:
        UsageError: there is no such run, or it is over.
    """
    who, reason = find_user(), mask_text(reason)
    said = f"paused by {who}" + (f": {reason}" if reason else "")
    return _decide(
        ledger, name, "pause", clock, lambda tx: runs.pause_run_by_person(tx, name, who=who, reason=said), reason
    )


def resume(ledger: Ledger, name: str, *, clock: Clock) -> Run:
    """Let a paused run go on, whoever paused it; raises as pause.

    Where the guard did, what has come back until now is seen, and does not pause the run, or others, again.
    """
    return _decide(ledger, name, "resume", clock, lambda tx: runs.resume_run(tx, name, clock.now()), "")


def approve(ledger: Ledger, name: str, *, clock: Clock) -> Run:
    """Open a run's gate by hand: the rest follows its canary, and what has come back until now is seen.

    What the guard or the canary paused goes on; what a person paused stays paused. Raises as pause.
    """

    def act(tx: Connection) -> bool:
        if require_run(tx, name).paused_by in (None, runs.GUARD):
            runs.resume_run(tx, name, clock.now())
        return True

    return _decide(ledger, name, APPROVED, clock, act, "")


def cancel(ledger: Ledger, name: str, *, reason: str, clock: Clock) -> Run:
    """End a run for good: what is in flight ends, everybody else stays unsent; raises as pause."""
    reason = mask_text(reason)
    said = f"cancelled by {find_user()}" + (f": {reason}" if reason else "")
    now = clock.now()
    return _decide(ledger, name, "cancel", clock, lambda tx: runs.cancel_run(tx, name, reason=said, now=now), reason)


def _decide(  # noqa: PLR0913, PLR0917 - three commands in one form
    ledger: Ledger, name: str, what: str, clock: Clock, act: Callable[[Connection], bool], reason: str
) -> Run:
    with ledger.write() as tx:
        run = require_run(tx, name)
        sees = what == APPROVED or (what == "resume" and run.paused_by == runs.GUARD)
        seen = describe_counts(tx, name, clock.now() - RECENT) if sees else {}
        if run.state in runs.OVER:
            raise UsageError(
                f"the run {name} is {run.state}: there is nothing to {what}", where="RUN", remedy="see: mailrun status"
            )
        if act(tx):
            detail = {"reason": reason, "state": run.state.value} | seen
            record_decision(tx, Decision(name, clock.now(), find_user(), what, detail))
        return require_run(tx, name)
