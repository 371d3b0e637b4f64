"""The accounts of a run: every row of the audience in exactly one place."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from engine.ledger.event_flags import SHOWN
from engine.ledger.journal import Outcome


class Accounts(Struct, frozen=True, kw_only=True):
    """What `plan`, `preview`, `launch`, `status` and `audit` report of a run.

    Attributes:
        run: CAMPAIGN/KEY.
        state: the run's state.
        reason: why it is paused or cancelled.
        paused_by: who paused it, a person or `guard`; None where the next launch resumes it.
        rows_read: rows of the audience.
        accepted: recipients of the plan.
        excluded: reason -> rows.
        outcomes: outcome -> recipients, without `unsent`.
        in_flight: recipients in doubt for which a live worker still expects an answer.
        store: the run's folder, or its URL.
        workers: number of live workers.
        sandbox: whether it goes to the embedded sandbox.
        feedback: kind of event -> recipients, under the names of `engine.ledger.event_flags.SHOWN`.
    """

    run: str
    state: str
    reason: str | None
    rows_read: int
    accepted: int
    excluded: Mapping[str, int]
    outcomes: Mapping[Outcome, int]
    in_flight: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    store: Path | str
    workers: int = 0
    paused_by: str | None = None
    sandbox: bool = False
    feedback: Mapping[str, int] = field(default_factory=dict)

    def count(self, outcome: Outcome) -> int:
        """Return how many recipients have an outcome."""
        if outcome is Outcome.UNSENT:
            return self.accepted - sum(self.outcomes.values())
        return self.outcomes.get(outcome, 0)

    @property
    def balanced(self) -> bool:
        """Return True if rows read = accepted + excluded, and no more outcomes than recipients."""
        return self.rows_read == self.accepted + sum(self.excluded.values()) and self.count(Outcome.UNSENT) >= 0

    @property
    def lossless(self) -> bool:
        """Return True if every accepted recipient was sent to."""
        return self.count(Outcome.SENT) == self.accepted

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `--json`."""
        return {
            "run": self.run,
            "state": self.state,
            "reason": self.reason,
            "paused_by": self.paused_by,
            "rows_read": self.rows_read,
            "accepted": self.accepted,
            "excluded": dict(self.excluded),
            **{str(outcome): self.count(outcome) for outcome in Outcome},
            "in_flight": self.in_flight,
            "workers": self.workers,
            **{name: self.feedback.get(name, 0) for name in SHOWN},
            "balanced": self.balanced,
            "started_at": _format_time(self.started_at),
            "finished_at": _format_time(self.finished_at),
            "store": str(self.store),
        }


def _format_time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")
