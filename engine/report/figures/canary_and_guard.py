"""What the canary and the guard of a run decided, and why, from the decisions in the ledger."""

from collections.abc import Sequence

from engine.ledger.decisions import Decision
from engine.ledger.runs import Run
from engine.ledger.schema import RunState
from engine.ledger.values.documents import read_document
from engine.masking import mask_text
from engine.quantities import format_count
from engine.report.figures.document import Moment

_SENT, _PASSED, _APPROVED = "canary sent", "canary passed", "approve"


def describe_canary(run: Run, decisions: Sequence[Decision]) -> str | None:
    """Describe what the canary decided; None where the run has none, or no recipients are left after it.

    Args:
        run: its row.
        decisions: about it, the oldest first.
    """
    recipients = _read_size(run)
    if recipients is None or run.accepted <= recipients:
        return None
    first = {decision.what: decision for decision in reversed(decisions)}
    who = format_count(recipients, "recipient")
    if approved := first.get(_APPROVED):
        return f"Canary of {who}: {approved.who} let the rest follow at {_write_time(approved)}."
    if passed := first.get(_PASSED):
        return f"Canary of {who}: it passed at {_write_time(passed)}{_describe_counts(passed)}. The rest followed."
    if sent := first.get(_SENT):
        why = f" {mask_text(run.reason)}" if run.state is RunState.PAUSED and run.reason else ""
        return f"Canary of {who}: sent at {_write_time(sent)}; the rest waits for its events.{why}"
    return f"Canary of {who}: not sent completely yet."


def list_guard_sentences(moments: Sequence[Moment]) -> list[str]:
    """List what the guard decided, each as one sentence with its time, the oldest first.

    Args:
        moments: of the run.
    """
    return [f"{moment.at:%Y-%m-%d %H:%M:%S} UTC: {moment.text}" for moment in moments if moment.kind == "guard"]


def _read_size(run: Run) -> int | None:
    if run.facts is None or run.facts.canary is None:
        return None
    size = read_document(run.facts.canary, f"[canary] of {run.name}").get("recipients")
    return size if isinstance(size, int) else None


def _write_time(decision: Decision) -> str:
    return f"{decision.at:%Y-%m-%d %H:%M:%S} UTC"


def _describe_counts(decision: Decision) -> str:
    detail = decision.detail
    known = [
        name for name in ("delivered", "bounced", "soft_bounced", "complained") if isinstance(detail.get(name), int)
    ]
    counts = ", ".join(f"{detail[name]:,} {name.replace('_', '-')}" for name in known)
    return f" with {counts}" if counts else ""
