"""A row of the table of benchmarks: what is compared, its target, and the figure of each run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

RUNS = 5  # of each comparison


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        what: is compared with what.
        figures: one of each run; the median counts.
        unit: of the figures: "x" for a ratio, "s" for seconds.
        target: the bound, such as "≤ 3.5"; empty if there is none.
        note: the absolute figures behind it.
    """

    what: str
    figures: Sequence[float]
    unit: str = "x"
    target: str = ""
    note: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the median keeps the target, if both are there."""
        if not (self.figures and self.target):
            return True
        bound = float(self.target[2:])
        return median(self.figures) <= bound if self.target.startswith("≤") else median(self.figures) >= bound

    def describe(self) -> tuple[str, str]:
        """Return the median with its unit, and the least and the most; dashes if there are no figures."""
        if not self.figures:
            return "-", "-"
        return f"{median(self.figures):.2f} {self.unit}", f"{min(self.figures):.2f} to {max(self.figures):.2f}"


def print_rows(rows: Iterable[Row]) -> list[Row]:
    """Print rows of the table as they come; return them."""
    print(f"{'':74}{'target':>10}{'measured':>12}   {'least to most':18}")
    printed = []
    for row in rows:
        target = f"{row.target} {row.unit}" if row.target else ""
        measured, spread = row.describe()
        measured += "" if row.is_met else " !"
        print(f"{row.what:74}{target:>10}{measured:>12}   {spread:18}{row.note}", flush=True)
        printed.append(row)
    return printed


def print_markdown(rows: Iterable[Row]) -> None:
    """Print the table as the documentation has it."""
    print("| what | median | least to most | figures |\n|---|---:|---:|---|")
    for row in rows:
        print(f"| {row.what} | {' | '.join(row.describe())} | {row.note} |")
