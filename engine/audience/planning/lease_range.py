"""The place of a lease's rows in a plan."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LeaseRange:
    """The rows of one lease.

    Attributes:
        ordinal: its number in the plan's order, from 0.
        file: the recipients file, inside the plan's folder.
        first_row: the number of rows before it in that file.
        rows: the number of its rows.
    """

    ordinal: int
    file: str
    first_row: int
    rows: int
