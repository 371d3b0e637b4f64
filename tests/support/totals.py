"""Totals of long tests, printed when the session ends."""

TOTALS: list[str] = []


def add_total(line: str) -> None:
    """Store a line for the end of the session."""
    TOTALS.append(line)
    print(line)  # noqa: T201 - seen with -s, and in a failing test's output
