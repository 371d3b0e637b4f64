"""What a live page shows of a run: its counts, and what its workers recorded last."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from engine.ledger.journal import Outcome
from engine.ledger.runs import OVER
from engine.ledger.workers import read_vitals
from engine.report.accounts import Accounts
from engine.report.run_accounts import require_accounts
from engine.workspace import Workspace

RATE_SECONDS = 5.0  # over which the current rate is measured


class WorkerFigures(Struct, frozen=True, kw_only=True):
    """What the live workers of a run recorded last, all together.

    Attributes:
        limit: recipients a second that they may send; None where no worker has recorded anything yet.
        calls: in flight.
        concurrency: calls that may be in flight.
        latency_ms: mean of a call, weighted by the calls in flight.
        throttles: throttle replies since each worker's start.
    """

    limit: float | None = None
    calls: int = 0
    concurrency: int = 0
    latency_ms: float | None = None
    throttles: int = 0


class LiveFigures(Struct, frozen=True, kw_only=True):
    """The figures of a run at one moment.

    Attributes:
        accounts: its counts.
        workers: what its workers recorded.
    """

    accounts: Accounts
    workers: WorkerFigures

    @property
    def is_over(self) -> bool:
        """Whether nothing changes any more, except events."""
        return self.accounts.state in OVER

    @property
    def done(self) -> int:
        """Recipients with an outcome."""
        return self.accounts.accepted - self.accounts.count(Outcome.UNSENT)

    def to_json(self, rate: float | None) -> dict[str, Any]:
        """Return the document that a live page gets.

        Args:
            rate: measured, in recipients a second.
        """
        accounts, workers = self.accounts, self.workers
        return {
            "state": accounts.state,
            "over": self.is_over,
            "accepted": accounts.accepted,
            "done": self.done,
            "figures": {
                **{str(outcome): accounts.count(outcome) for outcome in Outcome},
                **accounts.feedback,
                "rate": None if rate is None else round(rate, 1),
                "limit": workers.limit,
                "calls": workers.calls,
                "concurrency": workers.concurrency,
                "latency_ms": workers.latency_ms,
                "throttles": workers.throttles,
                "workers": accounts.workers,
            },
        }


class RateMeter(Struct):
    """Measures the current rate of a run from successive counts.

    Attributes:
        counts: monotonic time and recipients done, the oldest first.
    """

    counts: deque[tuple[float, int]] = field(default_factory=deque)

    def measure(self, monotonic: float, done: int) -> float | None:
        """Add a count; return the rate in recipients a second, None for the first count.

        Args:
            monotonic: when it was read, in seconds.
            done: recipients with an outcome.
        """
        self.counts.append((monotonic, done))
        while len(self.counts) > 2 and monotonic - self.counts[1][0] >= RATE_SECONDS:
            self.counts.popleft()
        at, first = self.counts[0]
        seconds = monotonic - at
        return max(0, done - first) / seconds if seconds > 0 else None


def read_live_figures(workspace: Workspace, run: str) -> LiveFigures:
    """Read the figures of a run now, in two short transactions.

    Raises:
        UsageError: there is no such run.
    """
    now = workspace.clock.now()
    accounts = require_accounts(workspace.ledger, run, workspace.store, now)
    with workspace.ledger.read() as tx:
        vitals = read_vitals(tx, run, now)
    return LiveFigures(accounts=accounts, workers=add_vitals(vitals))


def add_vitals(vitals: Sequence[Mapping[str, Any]]) -> WorkerFigures:
    """Add up what workers recorded.

    >>> add_vitals([{"rate_limit": 7.0, "in_flight": 2, "concurrency": 4, "latency_ms": 50.0, "throttles": 1}]).limit
    7.0
    """
    if not vitals:
        return WorkerFigures()
    weights = [max(1, each["in_flight"]) for each in vitals]
    latency = sum(each["latency_ms"] * weight for each, weight in zip(vitals, weights, strict=True)) / sum(weights)
    return WorkerFigures(
        limit=round(sum(each["rate_limit"] for each in vitals), 2),
        calls=sum(each["in_flight"] for each in vitals),
        concurrency=round(sum(each["concurrency"] for each in vitals)),
        latency_ms=round(latency, 1),
        throttles=round(sum(each["throttles"] for each in vitals)),
    )
