"""Rates of a run and of the campaign's earlier runs, side by side. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from engine.quantities import format_share
from engine.report.binomial import find_chance
from engine.report.figures.document import Figures

CHANCE = 0.01  # that any difference of the table is called better or worse, where there is none
MINUS = "\N{MINUS SIGN}"
SETTLED = timedelta(days=3)  # after the end of a run, most events of its recipients have arrived
_SMALLEST = 0.0005  # a smaller difference reads as none


class ComparedRate(Struct, frozen=True):
    """A rate.

    Attributes:
        name: for people.
        part: the key of its numerator.
        whole: the key of its denominator.
        better: 1 where higher is better, -1 where lower is.
        rises: whether events raise it for days after the end.
    """

    name: str
    part: str
    whole: str
    better: int
    rises: bool = True


KINDS = (
    ComparedRate("Sent", "sent", "accepted", 1, rises=False),
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
    def fraction(self) -> float:
        """The rate from 0 to 1; 0 where it is not known."""
        return min(1.0, self.part / self.whole) if self.whole else 0.0

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
    chance = CHANCE / max(1, len(KINDS) * len(figures.earlier))  # of each comparison (Bonferroni)
    compared = [ComparedRun(figures.run, figures.started_at, figures.accounts.get("accepted", 0), own)]
    for earlier in figures.earlier:
        theirs = {**earlier.accounts, **earlier.feedback}
        rates = [_compare(mine, _measure(mine.kind, theirs), chance, is_young=is_young(figures)) for mine in own]
        compared.append(ComparedRun(earlier.run, earlier.started_at, earlier.accounts.get("accepted", 0), rates))
    return compared


def _measure(kind: ComparedRate, counts: Mapping[str, int]) -> Rate:
    return Rate(kind, counts.get(kind.part, 0), counts.get(kind.whole, 0))


def is_young(figures: Figures) -> bool:
    """Return whether many events of a run are still to come; those of the sandbox come at once."""
    if figures.is_sandbox:
        return False
    return figures.finished_at is None or figures.made_at - figures.finished_at < SETTLED


def _compare(mine: Rate, theirs: Rate, chance: float, *, is_young: bool) -> Rate:
    """Say how this run's rate differs from an earlier run's, in points, and whether chance or age may explain it."""
    if not mine.whole or not theirs.whole:
        return theirs
    difference = mine.part / mine.whole - theirs.part / theirs.whole
    if abs(difference) < _SMALLEST:
        return Rate(theirs.kind, theirs.part, theirs.whole, "same")
    words = f"{'+' if difference > 0 else MINUS}{100 * abs(difference):.1f}"
    if is_young and mine.kind.rises and difference < 0:
        return Rate(theirs.kind, theirs.part, theirs.whole, f"{words}, too early")
    if find_chance(_bound(mine), _bound(theirs)) >= chance:
        return Rate(theirs.kind, theirs.part, theirs.whole, f"{words}, maybe chance")
    tone = "good" if difference * mine.kind.better > 0 else "bad"
    verdict = "better" if tone == "good" else "worse"
    return Rate(theirs.kind, theirs.part, theirs.whole, f"{words}, {verdict}", tone)


def _bound(rate: Rate) -> tuple[int, int]:
    """Return a rate's part and whole; events may arrive before their message is known as delivered."""
    return min(rate.part, rate.whole), rate.whole
