"""Several runs side by side: their accounts, their rates, how long they took, and which differences are not chance.

Figures are those that were counted when events were processed; of a run without figures, or one that is under way, the
ledger's counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct

from engine.ledger import event_counts
from engine.ledger.runs import OVER
from engine.ledger.schema import RunState
from engine.report.accounts import Accounts
from engine.report.binomial import find_chance
from engine.report.figures.document import Figures, TimeLine
from engine.report.figures.earlier_runs import to_counts
from engine.report.figures.figures_file import read_figures
from engine.report.run_accounts import require_accounts
from engine.workspace import Workspace

LEAST, MOST = 2, 5
CONFIDENCE = 0.99
_RECEIVERS = 15

Better = Literal["more", "less", ""]


class RunBesideOthers(Struct, frozen=True, kw_only=True):
    """One run of a comparison.

    Attributes:
        run: CAMPAIGN/KEY.
        state: of the run.
        sandbox: whether it goes to the embedded sandbox.
        started_at, finished_at: None where it was not.
        counted_at: when its figures were counted; None where they are the ledger's of this moment.
        accounts: as `mailrun status --json` has them: counts by name.
        excluded: reason -> rows.
        feedback: kind of event -> recipients.
        receivers: domain (empty for all smaller ones) -> name -> recipients, the largest first.
        time_line: recipients sent by step of time; None where there are no figures.
    """

    run: str
    state: str
    sandbox: bool
    started_at: datetime | None
    finished_at: datetime | None
    counted_at: datetime | None
    accounts: Mapping[str, int]
    excluded: Mapping[str, int]
    feedback: Mapping[str, int]
    receivers: Mapping[str, Mapping[str, int]]
    time_line: TimeLine | None

    @property
    def seconds(self) -> float | None:
        """How long it took from the first message to its end; None where it is not over."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0.0, (self.finished_at - self.started_at).total_seconds())


class RateKindCompared(Struct, frozen=True):
    """A rate that runs are compared by: the part and the whole by their names in accounts and feedback."""

    name: str
    part: str
    whole: str
    better: Better


class RateOfRun(Struct, frozen=True):
    """A rate of one run: how many of how many."""

    part: int
    whole: int

    @property
    def share(self) -> float | None:
        """From 0 to 1; None where there is no whole."""
        return self.part / self.whole if self.whole else None


class Difference(Struct, frozen=True):
    """A rate of a run that differs from the first run's by more than chance.

    Attributes:
        kind: of the rate.
        run: whose rate differs.
        base: the first run.
        rate, base_rate: of both.
        is_more: whether the run's rate is the higher one.
    """

    kind: RateKindCompared
    run: str
    base: str
    rate: RateOfRun
    base_rate: RateOfRun
    is_more: bool

    @property
    def is_better(self) -> bool | None:
        """Whether the difference is good; None where that is a matter of opinion."""
        return None if not self.kind.better else self.is_more == (self.kind.better == "more")


RATES = (
    RateKindCompared("Excluded", "excluded", "rows_read", "less"),
    RateKindCompared("Sent", "sent", "accepted", "more"),
    RateKindCompared("Delivered", "delivered", "sent", "more"),
    RateKindCompared("Bounced", "bounced", "sent", "less"),
    RateKindCompared("Soft-bounced", "soft_bounced", "sent", "less"),
    RateKindCompared("Complained", "complained", "delivered", "less"),
    RateKindCompared("Unsubscribed", "unsubscribed", "delivered", "less"),
    RateKindCompared("Opened by people", "opened_by_people", "delivered", "more"),
    RateKindCompared("Clicked by people", "clicked_by_people", "delivered", "more"),
)


def read_compared_run(workspace: Workspace, name: str) -> RunBesideOthers:
    """Read one run of a comparison.

    Raises:
        UsageError: there is no such run.
        MailrunError: store or ledger cannot be read.
    """
    accounts = require_accounts(workspace.ledger, name, workspace.store, workspace.clock.now())
    figures = read_figures(workspace.store, name) if RunState(accounts.state) in OVER else None
    with workspace.ledger.read() as tx:
        receivers = event_counts.read_receivers(tx, name)
    return make_compared_run(accounts, figures, receivers)


def make_compared_run(
    accounts: Accounts, figures: Figures | None, receivers: Mapping[str, Mapping[str, int]]
) -> RunBesideOthers:
    """Make a run of a comparison.

    Args:
        accounts: of the ledger.
        figures: that were counted; None where the ledger's counts are used.
        receivers: domain -> name -> recipients.
    """
    counts = to_counts(accounts)
    return RunBesideOthers(
        run=accounts.run,
        state=accounts.state,
        sandbox=accounts.sandbox,
        started_at=accounts.started_at,
        finished_at=accounts.finished_at,
        counted_at=None if figures is None else figures.made_at,
        accounts=counts if figures is None else {**counts, **figures.accounts},
        excluded=accounts.excluded,
        feedback=accounts.feedback if figures is None else figures.feedback,
        receivers=receivers,
        time_line=None if figures is None else figures.time_line,
    )


def find_rate(run: RunBesideOthers, kind: RateKindCompared) -> RateOfRun:
    """Return a rate of a run; the part is at most the whole, also while events are still coming."""
    counts = {**run.feedback, **run.accounts}
    part, whole = counts.get(kind.part, 0), counts.get(kind.whole, 0)
    return RateOfRun(part, max(part, whole) if whole else 0)


def list_receivers(runs: Sequence[RunBesideOthers]) -> list[str]:
    """List the receivers that the runs have in common or alone, the largest of all runs first."""
    sums: dict[str, int] = {}
    for run in runs:
        for domain, counts in run.receivers.items():
            sums[domain] = sums.get(domain, 0) + counts.get("proven", 0)
    named = sorted((domain for domain in sums if domain), key=lambda domain: (-sums[domain], domain))
    return [*named[:_RECEIVERS], *([""] if "" in sums else [])]


def find_differences(runs: Sequence[RunBesideOthers]) -> list[Difference]:
    """Find the rates that differ from the first run's by more than chance.

    As many rates are compared, each must be so much clearer (Bonferroni).
    """
    base, found = runs[0], []
    alpha = (1.0 - CONFIDENCE) / max(1, len(RATES) * (len(runs) - 1))
    for kind, run, first, second in _list_pairs(base, runs[1:]):
        p = find_chance((first.part, first.whole), (second.part, second.whole))
        if p < alpha and first.share is not None and second.share is not None:
            is_more = second.share > first.share
            found.append(Difference(kind, run.run, base.run, second, first, is_more))
    return found


def _list_pairs(
    base: RunBesideOthers, others: Sequence[RunBesideOthers]
) -> Iterator[tuple[RateKindCompared, RunBesideOthers, RateOfRun, RateOfRun]]:
    for kind in RATES:
        first = find_rate(base, kind)
        for run in others:
            second = find_rate(run, kind)
            if first.whole and second.whole:
                yield kind, run, first, second


def draw_progress(run: RunBesideOthers) -> list[tuple[float, float]]:
    """Return how much of a run was sent when: seconds since its first step, and per cent of all that it sent."""
    line = run.time_line
    if line is None or not line.at:
        return []
    total, done = sum(line.sent), 0
    points = [(0.0, 0.0)]
    for at, sent in zip(line.at, line.sent, strict=True):
        done += sent
        points.append((float(at - line.at[0] + line.step_seconds), 100 * done / total if total else 0.0))
    return points
