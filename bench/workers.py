"""Two worker processes compared with one: messages per second, by the wall clock, and CPU per message.

The workers have two cores, and the sink has a third one. Where there are only two cores, the sink runs on the second
one, its CPU is counted apart, and the speed of two workers is scaled to two whole cores. Speeds are those of the middle
of a run, by the ledger: starts and ends of processes do not count. Other work on these cores makes every figure wrong.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.comparison import RUNS, Row, print_rows
from bench.delivery import launch_command
from bench.processes import on_cores, run
from bench.servers import make_environment, run_sink
from bench.workspaces import make_workspace, write_audience
from engine.ledger import leases
from engine.ledger.database import open_ledger

MESSAGES = {"bulk": 300_000, "single": 160_000}
TARGET = "≥ 1.8"


@dataclass(frozen=True)
class Speed:
    """How fast a run was.

    Attributes:
        per_second: messages, in the middle of the run.
        cpu: seconds per message, of the whole command.
        sink: the share of a core that the sink used in the middle of the run.
    """

    per_second: float
    cpu: float
    sink: float


def compare_workers(runs: int) -> Iterator[Row]:
    """Compare two workers on two cores with one on one, for each kind of call."""
    cores = sorted(os.sched_getaffinity(0))[:3]
    for call, messages in MESSAGES.items():
        what = f"mailrun, {call}: messages per second of two workers / of one"
        if len(cores) < 2:
            yield Row(what, (), target=TARGET, note="this machine has one core")
            continue
        pairs = [tuple(measure(call, messages, cores, workers) for workers in (1, 2)) for _ in range(runs)]
        yield make_row(what, pairs, is_shared=len(cores) == 2)


def make_row(what: str, pairs: list[tuple[Speed, ...]], *, is_shared: bool) -> Row:
    """Make the row of a kind of call.

    Args:
        what: its title.
        pairs: the speeds of one worker and of two, in each run.
        is_shared: the sink had a part of the second worker's core.
    """
    whole_cores = [two.per_second * (2 / (2 - two.sink) if is_shared else 1) for _, two in pairs]
    one, two, sink, cpu = (
        median(values)
        for values in zip(
            *((one.per_second, two.per_second, two.sink, two.cpu / one.cpu) for one, two in pairs), strict=True
        )
    )
    note = f"{two:,.0f} / {one:,.0f}"
    if is_shared:
        note += f", scaled to two cores: the sink had {sink:.2f} of the second"
    note += f"; {cpu:.2f} x the CPU per message; load {os.getloadavg()[0]:.1f}"
    ratios = [scaled / one.per_second for scaled, (one, _) in zip(whole_cores, pairs, strict=True)]
    return Row(what, ratios, target=TARGET, note=note)


def measure(call: str, messages: int, cores: list[int], workers: int) -> Speed:
    """Launch with so many workers, each with a core of its own, and the sink on the last core."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = make_workspace(Path(folder), bulk=call == "bulk")
        write_audience(workspace, messages)
        command = [part.format(workspace=workspace) for part in launch_command("--workers", str(workers))]
        with on_cores(cores[-1:]), run_sink(0.0) as sink:
            with on_cores(cores[:workers]):
                usage = run(command, make_environment(sink))
            sink_cpu = sink.read_figures().cpu_seconds / messages
        per_second = read_speed(workspace / ".mailrun" / "ledger.db")
    return Speed(per_second, usage.cpu_seconds / messages, sink_cpu * per_second)


def read_speed(path: Path) -> float:
    """Return the messages per second between the first third of the leases and the last tenth."""
    ledger = open_ledger(f"sqlite:///{path}")
    with ledger.read() as tx:
        listed = leases.list_leases(tx, "welcome/bench")
    ledger.close()
    settled = sorted((one.settled_at, one.rows) for one in listed if one.settled_at)
    middle = settled[len(settled) // 3 : len(settled) * 9 // 10]
    return sum(rows for _, rows in middle[1:]) / (middle[-1][0] - middle[0][0]).total_seconds()


def main() -> None:
    print_rows(compare_workers(RUNS))


if __name__ == "__main__":
    main()
