"""Changes of a run's state that a person decides: made and recorded in one transaction."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from sqlalchemy import Connection

from engine.ledger import runs
from engine.ledger.database import Ledger
from engine.ledger.decisions import Decision, record_decision
from engine.ledger.event_counts import describe_counts
from engine.ledger.runs import Run


class RunChange(StrEnum):
    """What a person decides; the value is the decision's name in the ledger."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    APPROVE = "approve"  # open the gate of a canary by hand


class ChangeRequest(Struct, frozen=True, kw_only=True):
    """A change and what is recorded with it.

    Attributes:
        change: what to do.
        who: the person, `user@host`.
        now: when.
        reason: the person's text; may be empty.
        text: what `status` shows as the run's reason.
        since: a person who resumes the run acknowledges the events of runs since this time.
    """

    change: RunChange
    who: str
    now: datetime
    since: datetime
    reason: str = ""
    text: str = ""


def change_run(ledger: Ledger, name: str, request: ChangeRequest) -> tuple[Run, Run] | None:
    """Change the state of a run, unless it is over, and record the decision.

    Returns:
        The run before and after; None where it is not in the ledger.
    """
    with ledger.write() as tx:
        run = runs.find_run(tx, name)
        if run is None:
            return None
        if run.state in runs.OVER:
            return run, run
        acknowledges = request.change is RunChange.APPROVE or (
            request.change is RunChange.RESUME and run.paused_by == runs.GUARD
        )
        acknowledged = describe_counts(tx, name, request.since) if acknowledges else {}
        if _apply(tx, run, request):
            detail = {"reason": request.reason, "state": run.state.value} | acknowledged
            record_decision(tx, Decision(name, request.now, request.who, request.change, detail))
        return run, runs.find_run(tx, name) or run


def _apply(tx: Connection, run: Run, request: ChangeRequest) -> bool:
    """Change the run's row; False where there was nothing to change."""
    match request.change:
        case RunChange.PAUSE:
            return runs.pause_run_by_person(tx, run.name, who=request.who, reason=request.text)
        case RunChange.CANCEL:
            return runs.cancel_run(tx, run.name, reason=request.text, now=request.now)
        case RunChange.RESUME:
            return runs.resume_run(tx, run.name, request.now)
        case RunChange.APPROVE:  # what a person paused stays paused
            if run.paused_by in (None, runs.GUARD):
                runs.resume_run(tx, run.name, request.now)
            return True
