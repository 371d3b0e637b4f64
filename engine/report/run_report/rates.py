"""Rates of a run and of the campaign's earlier runs, side by side. Pure."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from engine.report.figures.document import Figures
from engine.report.page_environment import format_share

_CERTAIN = 1.96  # standard deviations that chance exceeds once in twenty times
_SMALLEST = 0.0005  # a smaller difference reads as none


class ComparedRate(Struct, frozen=True):
    """A rate.

    Attributes:
        name: for people.
        part: the key of its numerator.
        whole: the key of its denominator.
        better: 1 where higher is better, -1 where lower is.
    """

    name: str
    part: str
    whole: str
    better: int


KINDS = (
    ComparedRate("Sent", "sent", "accepted", 1),
    ComparedRate("Delivered", "delivered", "sent", 1),
    ComparedRate("Bounced", "bounced", "sent", -1),
    ComparedRate("Complained", "complained", "delivered", -1),
    ComparedRate("Opened", "opened_by_people", "delivered", 1),
    ComparedRate("Clicked", "clicked_by_people", "delivered", 1),
    ComparedRate("Unsubscribed", "unsubscribed", "delivered", -1),
)


class Rate(Struct, frozen=True):
    """A rate of one run.

    Attributes:
        kind: which one.
        part: its numerator.
        whole: its denominator; 0 where it is not known.
        difference: how this report's run differs from it, in words; empty for that run itself.
        tone: `good` or `bad` where the difference is more than chance, else empty.
    """

    kind: ComparedRate
    part: int
    whole: int
    difference: str = ""
    tone: str = ""

    @property
    def share(self) -> str:
        """The rate as percentage."""
        return format_share(self.part, self.whole)


class ComparedRun(Struct, frozen=True):
    """A run with its rates, in the order of KINDS."""

    run: str
    started_at: datetime | None
    accepted: int
    rates: Sequence[Rate]


def compare_runs(figures: Figures) -> list[ComparedRun]:
    """Compare a run with the campaign's earlier runs: this run first, then the others as they are in the document."""
    counts = {**figures.accounts, **figures.feedback}
    own = [_measure(kind, counts) for kind in KINDS]
    compared = [ComparedRun(figures.run, figures.started_at, figures.accounts.get("accepted", 0), own)]
    for earlier in figures.earlier:
        theirs = {**earlier.accounts, **earlier.feedback}
        rates = [_compare(mine, _measure(mine.kind, theirs)) for mine in own]
        compared.append(ComparedRun(earlier.run, earlier.started_at, earlier.accounts.get("accepted", 0), rates))
    return compared


def _measure(kind: ComparedRate, counts: Mapping[str, int]) -> Rate:
    return Rate(kind, counts.get(kind.part, 0), counts.get(kind.whole, 0))


def _compare(mine: Rate, theirs: Rate) -> Rate:
    """Say how this run's rate differs from an earlier run's, in points, and whether chance may explain it."""
    if not mine.whole or not theirs.whole:
        return theirs
    difference = mine.part / mine.whole - theirs.part / theirs.whole
    if abs(difference) < _SMALLEST:
        return Rate(theirs.kind, theirs.part, theirs.whole, "now the same")
    words = f"now {100 * abs(difference):.1f} {'higher' if difference > 0 else 'lower'}"
    if abs(difference) < _CERTAIN * _deviate(mine, theirs):
        return Rate(theirs.kind, theirs.part, theirs.whole, f"{words}, maybe chance")
    tone = "good" if difference * mine.kind.better > 0 else "bad"
    verdict = "better" if tone == "good" else "worse"
    return Rate(theirs.kind, theirs.part, theirs.whole, f"{words}, {verdict}", tone)


def _deviate(mine: Rate, theirs: Rate) -> float:
    """Return the standard deviation of the difference of two rates, if both have the same cause."""
    pooled = (mine.part + theirs.part) / (mine.whole + theirs.whole)
    pooled = min(1.0, max(0.0, pooled))
    return math.sqrt(pooled * (1 - pooled) * (1 / mine.whole + 1 / theirs.whole))
