"""CPU of short commands: what a launch costs beyond its messages, and commands that only look.

A small launch is compared with importing the large libraries that it uses, in turn. All processes of a command count;
the sink is another process.
"""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from bench.comparison import RUNS, Row, print_rows
from bench.processes import Usage, run
from bench.servers import make_environment, run_sink
from bench.workspaces import make_workspace, write_audience

LIBRARIES = "import polars, sqlalchemy, jinja2, pydantic, aiobotocore.session"
FEW, MANY = 10, 1_000  # recipients
SHORT = {
    "mailrun --help": ("--help",),
    "mailrun status": ("status", "--workspace", "{few}"),
    "mailrun suppress check": ("suppress", "check", "ann@example.com", "--workspace", "{few}"),
}
LONGER = {
    "mailrun plan, 10 rows": ("plan", "welcome", "--workspace", "{few}"),
    "mailrun preview, 10 rows": ("preview", "welcome", "--workspace", "{few}"),
}


def compare_starts(runs: int) -> Iterator[Row]:
    """Compare the CPU of short commands."""
    with tempfile.TemporaryDirectory() as name, run_sink(0.0) as sink:
        few, many = (_make_workspace(Path(name) / str(count), count) for count in (FEW, MANY))
        environment = make_environment(sink)
        found: dict[str, list[Usage]] = {}
        for number in range(runs + 1):
            commands = {
                "nothing": ("-c", "pass"),
                "libraries": ("-c", LIBRARIES),
                "few": _launch(few, number),
                "many": _launch(many, number),
                **{
                    what: ("-m", "engine", *(word.format(few=few) for word in words))
                    for what, words in (SHORT | LONGER).items()
                },
            }
            for what, words in commands.items():
                usage = run((sys.executable, *words), environment)
                if number:  # the first run of each fills the caches of the disk, and makes the ledger
                    found.setdefault(what, []).append(usage)
    cpu = {what: [usage.cpu_seconds for usage in usages] for what, usages in found.items()}
    yield _compare(f"launch to {FEW} recipients: CPU / importing its libraries", cpu["few"], cpu["libraries"])
    added = [most - least for most, least in zip(cpu["many"], cpu["few"], strict=True)]
    yield Row(f"launch to {MANY:,} recipients instead of {FEW}: added CPU", added, "s", "≤ 0.25")
    for what in SHORT | LONGER:
        wall = median(usage.wall_seconds for usage in found[what])
        note = f"{wall:.2f} s of wall time; Python alone {median(cpu['nothing']):.2f} s of CPU"
        yield Row(f"{what}: CPU", cpu[what], "s", "≤ 0.3" if what in SHORT else "", note)


def _make_workspace(folder: Path, recipients: int) -> Path:
    folder.mkdir()
    workspace = make_workspace(folder)
    write_audience(workspace, recipients)
    return workspace


def _launch(workspace: Path, number: int) -> Sequence[str]:
    return ("-m", "engine", "launch", "welcome", "--workspace", str(workspace), "--key", f"run-{number}", "--yes")


def _compare(what: str, own: Sequence[float], libraries: Sequence[float]) -> Row:
    note = f"{median(own):.2f} s, libraries {median(libraries):.2f} s"
    return Row(what, [one / other for one, other in zip(own, libraries, strict=True)], "x", "≤ 1.25", note)


def main() -> None:
    print_rows(compare_starts(RUNS))
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
