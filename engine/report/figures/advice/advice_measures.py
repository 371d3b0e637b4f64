"""Counts and rates that rules of advice compare with their limits."""

from collections.abc import Callable, Iterable
from typing import Literal

from engine.quantities import format_count, format_share
from engine.report.figures.document import Diagnosis, Figures

Level = Literal["act", "improve"]
Because = Callable[[Figures], str | None]
FEWEST = 5  # cases: with fewer, a rate says nothing


def count_sent(figures: Figures) -> int:
    """Count the recipients that the message was sent to."""
    return figures.accounts.get("sent", 0)


def count_event(figures: Figures, name: str) -> int:
    """Count the recipients with an event."""
    return figures.feedback.get(name, 0)


def count_delivered(figures: Figures) -> int:
    """Count the recipients whose receiver accepted the message; where none is reported, all that were sent to."""
    return count_event(figures, "delivered") or count_sent(figures)


def sum_diagnoses(figures: Figures, matches: Callable[[Diagnosis], bool]) -> int:
    """Count the recipients of the bounces with some diagnoses."""
    return sum(one.recipients for one in figures.bounces if matches(one))


def has_words(text: str, words: Iterable[str]) -> bool:
    """Return whether a text has one of some words, in lower case."""
    lower = text.lower()
    return any(word in lower for word in words)


def is_rate(cases: int, total: int, limit: float, fewest: int = FEWEST) -> bool:
    """Return whether cases are many enough, and their rate is at or above a limit."""
    return cases >= fewest and total > 0 and cases / total >= limit


def write_rate(cases: int, total: int, words: str) -> str:
    """Write cases and their rate.

    >>> write_rate(5, 100, "bounced")
    '5 of 100 recipients bounced (5%).'
    """
    return f"{cases:,} of {format_count(total, 'recipient')} {words} ({format_share(cases, total)})."
