"""How fast `mailrun plan` is, and in how much memory, as ratios to Polars copying the same CSV to Parquet.

Run from the project's folder: python -m bench audience [ROWS…], by default 1 and 5 million; the published table is of
1, 5, 10, 20 and 50 million. Both are whole commands, measured from outside: CPU is user and system time of all
threads, as the kernel counts it. Of several rounds the one with the least CPU counts. Files go to a temporary folder,
about 60 bytes a row, and as much again for plan and scratch.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench import ROOT
from bench.audience_files import write_easy, write_realistic
from bench.comparison import Row
from bench.processes import Usage, on_cores, run

ROWS = (1_000_000, 5_000_000)
ROUNDS = 3
CORES = 2
MIB = 1 << 20
TARGETS = {"realistic": "≤ 3.5", "easy": "≤ 3"}
INPUTS = {"realistic": write_realistic, "easy": write_easy}
CAMPAIGN = """
from = "Acme News <news@acme.example>"
subject = "Welcome, {{ first_name }}"
kind = "transactional"
key = "bench"
[audience]
source = "list.csv"
address = "email"
[suppression]
files = ["gone.csv"]
[content]
text = "body.txt.j2"
"""
COPY = "import polars as pl; pl.scan_csv('list.csv').sink_parquet('copy.parquet')"


def make_workspace(folder: Path) -> None:
    campaign = folder / "campaigns" / "hello"
    campaign.mkdir(parents=True)
    (folder / "audiences").mkdir()
    (campaign / "campaign.toml").write_text(CAMPAIGN)
    (campaign / "body.txt.j2").write_text("Hello {{ first_name }}\n")


def measure(command: list[str], workspace: Path) -> Usage:
    """Run a command on two cores, with Polars' threads to match."""
    environment = {**os.environ, "POLARS_MAX_THREADS": str(CORES), "PYTHONPATH": str(ROOT)}
    return run((sys.executable, *command), environment, workspace)


def least(runs: list[Usage]) -> Usage:
    return min(runs, key=lambda used: used.cpu_seconds)


def measure_pairs(name: str, rows: int, rounds: int) -> tuple[float, list[tuple[Usage, Usage]]]:
    """Measure one input of so many rows: the megabytes of its CSV, and what copy and plan used in each round."""
    with TemporaryDirectory() as folder:
        workspace = Path(folder)
        make_workspace(workspace)
        INPUTS[name](rows, workspace / "list.csv", workspace / "gone.csv")
        megabytes = (workspace / "list.csv").stat().st_size / 1e6
        plan_command = ["-m", "engine", "plan", "hello", "--json"]
        pairs = [(measure(["-c", COPY], workspace), measure(plan_command, workspace)) for _ in range(rounds)]
    return megabytes, pairs


def compare_plans(runs: int) -> Iterator[Row]:
    """Compare plans of the larger audience with copies of the same files, on two cores."""
    for name, target in TARGETS.items():
        with on_cores(sorted(os.sched_getaffinity(0))[:CORES]):
            _, pairs = measure_pairs(name, ROWS[-1], runs)
        copy, plan = (median(used.cpu_seconds for used in of_one) for of_one in zip(*pairs, strict=True))
        yield Row(
            f"plan of {ROWS[-1]:,} rows, {name}: CPU / CPU of Polars' copy",
            [plan.cpu_seconds / copy.cpu_seconds for copy, plan in pairs],
            target=target,
            note=f"{plan:.1f} s / {copy:.1f} s",
        )
        peaks = [plan.peak_bytes / MIB for _, plan in pairs]
        yield Row(f"plan of {ROWS[-1]:,} rows, {name}: peak of memory", peaks, unit="MiB", target="≤ 1024")


def compare(name: str, rows: int) -> list[str]:
    """Measure one input of so many rows: the figures of a line of the table."""
    megabytes, pairs = measure_pairs(name, rows, ROUNDS if rows <= ROWS[-1] else 1)
    copy, plan = (least(list(runs)) for runs in zip(*pairs, strict=True))
    return [
        name,
        f"{rows:,}",
        f"{megabytes:,.0f}",
        *(f"{used.wall_seconds:.2f}" for used in (copy, plan)),
        *(f"{used.cpu_seconds:.2f}" for used in (copy, plan)),
        f"{plan.wall_seconds / copy.wall_seconds:.2f}",
        f"{plan.cpu_seconds / copy.cpu_seconds:.2f}",
        f"{plan.peak_bytes / MIB:,.0f}",
    ]


def main() -> None:
    titles = ("input", "rows", "MB", "copy s", "plan s", "copy CPU", "plan CPU", "plan/copy", "by CPU", "peak MiB")
    print(*(f"{title:>10}" for title in titles))
    for rows in [int(text) for text in sys.argv[1:] if text.isdigit()] or ROWS:
        for name in INPUTS:
            with on_cores(sorted(os.sched_getaffinity(0))[:CORES]):
                print(*(f"{figure:>10}" for figure in compare(name, rows)), flush=True)


if __name__ == "__main__":
    main()
