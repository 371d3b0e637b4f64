"""Values of a breakdown, such as receivers, whose messages fare far worse than all others of the run. Pure."""

from collections.abc import Iterator, Sequence

from engine.report.binomial import find_chance
from engine.report.figures.document import Breakdown, BreakdownRow

KINDS = ("bounced", "complained")
CHANCE = 0.01  # that any value of a table is called worse, where none is
TIMES = 2.0  # the rate of all others, from which a clear difference is a large one


def find_outliers(table: Breakdown) -> set[tuple[str, str]]:
    """Find the values of a breakdown with a rate of bounces or complaints that is far above that of all others.

    A rate is that if it is at least TIMES that of all other rows together, and chance hardly explains it: by the exact
    test of two rates, so much clearer as more rows are judged (Bonferroni).

    Returns:
        Values with the kind of event, of KINDS.
    """
    chance = CHANCE / max(1, len(KINDS) * len(table.rows))
    return {(row.value, kind) for kind in KINDS for row in _list_worse(table.rows, kind, chance)}


def _list_worse(rows: Sequence[BreakdownRow], kind: str, chance: float) -> Iterator[BreakdownRow]:
    sent, cases = sum(row.sent for row in rows), sum(_count(row, kind) for row in rows)
    for row in rows:
        own, others, whole = _count(row, kind), cases - _count(row, kind), sent - row.sent
        is_far = bool(row.sent and whole) and own / row.sent >= TIMES * others / whole
        if own and is_far and find_chance((own, row.sent), (others, whole)) < chance:
            yield row


def _count(row: BreakdownRow, kind: str) -> int:
    """Count recipients with an event; it may arrive before its message is known as sent."""
    return min(row.feedback.get(kind, 0), row.sent)
