"""The moments of a run: starts, pauses, decisions of people, of the canary and of the guard."""

from collections.abc import Sequence
from typing import Any, Literal

from engine.ledger.decisions import Decision
from engine.ledger.runs import GUARD, Run
from engine.ledger.schema import RunState
from engine.masking import mask_text
from engine.quantities import format_count
from engine.report.figures.document import Moment

Kind = Literal["started", "paused", "resumed", "guard", "canary", "decision", "finished", "cancelled"]
_KINDS: dict[str, Kind] = {
    "pause": "paused",
    "resume": "resumed",
    "cancel": "cancelled",
    "approve": "canary",
    "canary sent": "canary",
    "canary passed": "canary",
}
_WORDS = {
    "pause": "paused",
    "resume": "resumed",
    "cancel": "cancelled",
    "approve": "the canary was approved",
    "canary sent": "the canary was sent",
    "canary passed": "the canary passed",
}
_BY_ITSELF = "mailrun"


def list_moments(run: Run, decisions: Sequence[Decision]) -> list[Moment]:
    """List the moments of a run in order of time.

    Args:
        run: its row.
        decisions: about it, the oldest first.
    """
    moments = [_describe(decision) for decision in decisions]
    if run.started_at is not None:
        moments.append(Moment(run.started_at, "started", "sending began"))
    if run.finished_at is not None and run.state is RunState.FINISHED:
        moments.append(Moment(run.finished_at, "finished", "the run finished"))
    is_recorded = any(moment.kind == "cancelled" for moment in moments)
    if run.finished_at is not None and run.state is RunState.CANCELLED and not is_recorded:
        moments.append(Moment(run.finished_at, "cancelled", mask_text(run.reason or "the run was cancelled")))
    return sorted(moments, key=lambda moment: moment.at)  # stable: the order of decisions stays


def _describe(decision: Decision) -> Moment:
    is_of_guard = decision.what == "pause" and decision.who == GUARD
    kind: Kind = "guard" if is_of_guard else _KINDS.get(decision.what, "decision")
    by = "" if decision.who == _BY_ITSELF else f" by {decision.who}"
    words = f"{_WORDS.get(decision.what, decision.what)}{by}"
    if more := describe_detail(decision.detail):
        words += f": {more}"
    return Moment(decision.at, kind, mask_text(words))


def describe_detail(detail: dict[str, Any]) -> str:
    """Describe what was recorded with a decision: its reason, counts and rates."""
    if reason := detail.get("reason"):
        return str(reason)
    rates = detail.get("ses_rates")
    if isinstance(rates, dict) and rates:
        return ", ".join(f"{name} rate of SES {value:.2%}" for name, value in sorted(rates.items()))
    recipients = detail.get("recipients")
    return format_count(recipients, "recipient") if isinstance(recipients, int) else ""
