"""Pauses, resumes and cancels a run, from any terminal or machine: workers see it with their next heartbeat."""

from engine.clock import Clock
from engine.errors import UsageError
from engine.ledger import runs
from engine.ledger.database import Ledger
from engine.ledger.decisions import find_user
from engine.ledger.run_changes import ChangeRequest, RunChange, change_run
from engine.ledger.runs import Run
from engine.masking import mask_text
from engine.report.run_accounts import make_unknown_run_error
from engine.run.guard.evidence import RECENT

LONGEST_REASON = 2000  # that a person gives, in characters; the rest is left out


def pause(ledger: Ledger, name: str, *, reason: str, clock: Clock, who: str | None = None) -> Run:
    """Pause a run; its workers wait, and workers that start now wait as well, until it is resumed.

    Args:
        ledger: has the run.
        name: of the run.
        reason: a person's text; may be empty.
        clock: the time of the decision.
        who: is recorded with the decision; None for the user of this process.

    Returns:
        The run as it is now.

    Raises:
        UsageError: there is no such run, or it is over.
    """
    return _change(ledger, name, RunChange.PAUSE, clock, who, reason, "paused")


def resume(ledger: Ledger, name: str, *, clock: Clock, who: str | None = None) -> Run:
    """Resume a paused run, whether a person or mailrun paused it; raises as pause.

    If the guard paused it, the events until now count as acknowledged: they do not pause this run or others again.
    """
    return _change(ledger, name, RunChange.RESUME, clock, who)


def approve(ledger: Ledger, name: str, *, clock: Clock, who: str | None = None) -> Run:
    """Open the gate of a run's canary by hand: the rest is sent, and the events until now are acknowledged.

    A run that the guard or the canary paused continues; one that a person paused stays paused. Raises as pause.
    """
    return _change(ledger, name, RunChange.APPROVE, clock, who)


def cancel(ledger: Ledger, name: str, *, reason: str, clock: Clock, who: str | None = None) -> Run:
    """End a run permanently: calls in flight finish, all other recipients stay unsent; raises as pause."""
    return _change(ledger, name, RunChange.CANCEL, clock, who, reason, "cancelled")


def _change(  # noqa: PLR0913, PLR0917 - four commands in one form
    ledger: Ledger, name: str, change: RunChange, clock: Clock, who: str | None, reason: str = "", done: str = ""
) -> Run:
    who, now, reason = who or find_user(), clock.now(), mask_text(reason[:LONGEST_REASON])
    text = f"{done} by {who}" + (f": {reason}" if reason else "")
    request = ChangeRequest(change=change, who=who, now=now, since=now - RECENT, reason=reason, text=text)
    changed = change_run(ledger, name, request)
    if changed is None:
        raise make_unknown_run_error(ledger, name)
    before, after = changed
    if before.state in runs.OVER:
        raise UsageError(
            f"the run {name} is {before.state}: there is nothing to {change}",
            where="RUN",
            remedy="list the runs with: mailrun status",
        )
    return after
