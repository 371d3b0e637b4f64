"""What a person can do with a run in the dashboard: pause, resume, approve."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from engine.ledger.runs import GUARD, OVER, Run
from engine.ledger.schema import RunState
from engine.run import control
from engine.run.guard.canary import CanaryStage


class RunAction(Struct, frozen=True):
    """One action.

    Attributes:
        name: of its page and of the command.
        label: of its button.
        effect: what it does, one sentence.
        takes_reason: whether a person may write why.
        change: carries it out, as the command does.
    """

    name: str
    label: str
    effect: str
    takes_reason: bool
    change: Callable[..., Run]


ACTIONS: Mapping[str, RunAction] = {
    action.name: action
    for action in (
        RunAction(
            "pause",
            "Pause",
            "Workers finish the calls in flight and wait. Nothing more is sent until a person resumes the run.",
            takes_reason=True,
            change=control.pause,
        ),
        RunAction(
            "resume",
            "Resume",
            "Workers that wait continue. If the guard paused the run, the events until now count as acknowledged.",
            takes_reason=False,
            change=partial(control.resume),
        ),
        RunAction(
            "approve",
            "Approve the canary",
            "The rest of the recipients is sent without waiting for the canary's result, and the events until now"
            " count as acknowledged.",
            takes_reason=False,
            change=partial(control.approve),
        ),
    )
}


class RunHead(Struct, frozen=True):
    """What the head of every page of a run shows.

    Attributes:
        name: of the run.
        state: its state.
        reason: why it is paused or cancelled.
        sandbox: whether it goes to the embedded sandbox.
        actions: that are possible now.
    """

    name: str
    state: str
    reason: str | None
    sandbox: bool
    actions: Sequence[RunAction] = ()


def make_run_head(run: Run, actions: Sequence[RunAction] = ()) -> RunHead:
    """Make the head of a run's page."""
    return RunHead(run.name, run.state.value, run.reason, run.sandbox, actions)


def list_actions(run: Run, canary_stage: str | None) -> list[RunAction]:
    """List what is possible with a run.

    Args:
        run: as it is now.
        canary_stage: of its canary; None where it has none.
    """
    if run.state in OVER:
        return []
    is_paused = run.state is RunState.PAUSED
    waits = canary_stage is not None and canary_stage != CanaryStage.OPEN and run.paused_by in (None, GUARD)
    names = ["resume" if is_paused else "pause", *(["approve"] if waits else [])]
    return [ACTIONS[name] for name in names]


def describe_arguments(action: RunAction, form: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of an action that a form gives."""
    return {"reason": form.get("reason", "").strip()[:_LONGEST_REASON]} if action.takes_reason else {}


_LONGEST_REASON = 500
