"""The moments of a run: starts, pauses, decisions of people, of the canary and of the guard."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Literal

from engine.ledger.decisions import Decision
from engine.ledger.figures.state_changes import StateChange
from engine.ledger.notices.occurrences import NoticeEvent
from engine.ledger.runs import GUARD, Run
from engine.ledger.schema import RunState
from engine.masking import mask_text
from engine.quantities import format_count
from engine.report.figures.document import Moment

Kind = Literal["started", "paused", "resumed", "guard", "canary", "decision", "finished", "cancelled"]
_OF_DECISIONS: dict[str, tuple[Kind, str]] = {
    "pause": ("paused", "paused"),
    "resume": ("resumed", "resumed"),
    "cancel": ("cancelled", "cancelled"),
    "approve": ("canary", "the canary was approved"),
    "canary sent": ("canary", "the canary was sent"),
    "canary passed": ("canary", "the canary passed"),
}
# Starts and ends are columns of the run.
_OF_CHANGES: dict[NoticeEvent, tuple[Kind, str]] = {
    NoticeEvent.PAUSED: ("paused", "the run paused"),
    NoticeEvent.RESUMED: ("resumed", "the run was launched again"),
    NoticeEvent.GUARD: ("guard", "the guard paused the run"),
    NoticeEvent.STALLED: ("decision", "the run stalled"),
}
MOST, LONGEST = 200, 500  # moments of a run; characters of what a person wrote
_SAME = timedelta(seconds=5)  # a person's decision and the change that it makes: two clocks may record them
_BY_ITSELF = "mailrun"


def list_moments(run: Run, decisions: Sequence[Decision], changes: Sequence[StateChange] = ()) -> list[Moment]:
    """List the moments of a run in order of time; the first and the last ones of very many.

    Args:
        run: its row.
        decisions: about it, the oldest first.
        changes: of its state.
    """
    moments = [_describe(decision) for decision in decisions]
    moments += [_describe_change(change) for change in changes if _is_own(change, moments)]
    return _choose(sorted([*moments, *_list_ends(run, moments)], key=lambda moment: moment.at))  # equal times stay so


def _choose(moments: list[Moment]) -> list[Moment]:
    """Keep the first and the last moments where there are more than MOST."""
    if len(moments) <= MOST:
        return moments
    first, last = moments[: MOST // 2], moments[-(MOST // 2) :]
    left = f"{len(moments) - len(first) - len(last):,} further moments are not listed"
    return [*first, Moment(first[-1].at, "decision", left), *last]


def _list_ends(run: Run, known: Sequence[Moment]) -> Iterator[Moment]:
    if run.started_at is not None:
        yield Moment(run.started_at, "started", "sending began")
    if run.finished_at is not None and run.state is RunState.FINISHED:
        yield Moment(run.finished_at, "finished", "the run finished")
    is_recorded = any(moment.kind == "cancelled" for moment in known)
    if run.finished_at is not None and run.state is RunState.CANCELLED and not is_recorded:
        yield Moment(run.finished_at, "cancelled", mask_text(run.reason or "the run was cancelled"))


def _is_own(change: StateChange, decisions: Sequence[Moment]) -> bool:
    """Return whether a change is shown: it is not a start or an end, and not made by a person's decision."""
    if change.event not in _OF_CHANGES:
        return False
    kind, _ = _OF_CHANGES[change.event]
    return not any(one.kind == kind and abs(one.at - change.at) < _SAME for one in decisions if kind != "guard")


def _describe(decision: Decision) -> Moment:
    kind, words = _OF_DECISIONS.get(decision.what, ("decision", decision.what))
    kind = "guard" if kind == "paused" and decision.who == GUARD else kind
    by = "" if decision.who == _BY_ITSELF else f" by {decision.who}"
    return _make(decision.at, kind, words + by, describe_detail(decision.detail))


def _describe_change(change: StateChange) -> Moment:
    kind, words = _OF_CHANGES[change.event]
    return _make(change.at, kind, words, change.reason)


def _make(at: Any, kind: Kind, words: str, more: str) -> Moment:
    return Moment(at, kind, mask_text(f"{words}: {more[:LONGEST]}" if more else words))


def describe_detail(detail: dict[str, Any]) -> str:
    """Describe what was recorded with a decision: its reason, counts and rates."""
    if reason := detail.get("reason"):
        return str(reason)
    rates = detail.get("ses_rates")
    if isinstance(rates, dict) and rates and all(isinstance(value, int | float) for value in rates.values()):
        return ", ".join(f"{name} rate of SES {value:.2%}" for name, value in sorted(rates.items()))
    recipients = detail.get("recipients")
    return format_count(recipients, "recipient") if isinstance(recipients, int) else ""
