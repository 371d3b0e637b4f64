"""CPU a message and throughput a core: `mailrun launch`, single and bulk, compared with common scripts.

Each one runs in a separate process, one after the other, against the same sink in another process. CPU is user and
system time of all threads; the start (imports, client, the check of the content by a sample of the plan) is measured
with an audience of that sample's size, for the others with an empty one, and subtracted. The figures of mailrun include
planning, rendering, recording, signing, sending and settling.
"""

import os
import resource
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.launch import Measured, make_workspace, measure, write_audience
from bench.servers import SinkServer, make_environment, run_sink
from engine.ledger import leases
from engine.ledger.database import open_ledger
from engine.run.prepare.content_check import SAMPLE_ROWS

REGION_LATENCY_SECONDS = 0.04
PLAIN_CONCURRENCY = 128
THREADS = 64


@dataclass(frozen=True)
class Entrant:
    """One way to send.

    Attributes:
        name: in the table.
        command: what is run; {workspace} and {key} are filled in.
        messages: how many, without latency.
        slow_messages: how many with a region's latency.
        bulk: the campaign sets call = "bulk".
    """

    name: str
    command: tuple[str, ...]
    messages: int
    slow_messages: int
    bulk: bool = False


def launch_command(*more: str) -> tuple[str, ...]:
    return ("-m", "engine", "launch", "welcome", "--workspace", "{workspace}", "--key", "{key}", "--json", *more)


ENTRANTS = (
    Entrant("mailrun, bulk", launch_command("--workers", "1"), 60_000, 40_000, bulk=True),
    Entrant("mailrun, single", launch_command("--workers", "1"), 30_000, 20_000),
    Entrant("aiobotocore, gather", ("-m", "bench.plain_loop", "{workspace}", str(PLAIN_CONCURRENCY)), 6_000, 6_000),
    Entrant(f"boto3, {THREADS} threads", ("-m", "bench.plain_boto3", "{workspace}", str(THREADS)), 4_000, 4_000),
    Entrant("boto3, one by one", ("-m", "bench.plain_boto3", "{workspace}", "1"), 3_000, 200),
)


def main() -> None:
    for latency in (0.0, REGION_LATENCY_SECONDS):
        print(f"delivery: the welcome campaign (3.8 KB of HTML, and text), answers after {latency * 1000:.0f} ms")
        print(f"{'':26}{'CPU µs a message':>18}{'messages a core second':>25}{'messages a second':>20}{'x loop':>9}")
        with tempfile.TemporaryDirectory() as folder, run_sink(latency) as sink:
            found = {one.name: run_entrant(one, Path(folder), sink, latency) for one in ENTRANTS}
        loop = next(cpu for name, (cpu, _) in found.items() if name.startswith("aiobotocore"))
        for name, (micros, speed) in found.items():
            print(f"{name:26}{micros:>18,.0f}{1e6 / micros:>25,.0f}{speed:>20,.0f}{loop / micros:>9.1f}")
    compare_workers()


def run_entrant(one: Entrant, folder: Path, sink: SinkServer, latency: float) -> tuple[float, float]:
    """Return CPU microseconds a message and messages a second, without the start."""
    workspace = make_workspace(folder / one.name.replace(" ", "-"), bulk=one.bulk)
    messages = one.slow_messages if latency else one.messages
    found = []
    least = SAMPLE_ROWS if "launch" in one.command else 0
    for key, rows in (("start", least), ("all", messages + least)):
        write_audience(workspace, rows)
        command = [part.format(workspace=workspace, key=key) for part in one.command]
        found.append(measure([sys.executable, *command], make_environment(sink)))
    start, whole = found
    less: Measured = whole.less(start)
    return less.cpu_seconds / messages * 1e6, messages / less.wall_seconds


def compare_workers() -> None:
    """Two worker processes on two cores against one on one, the sink on the second core.

    The sink has a part of that core, so the speed is printed for two whole ones as well. Speeds are those of the
    middle of a run, by the ledger: starts and ends of processes do not count.
    """
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        print("workers: this machine has one core, nothing to compare")
        return
    for bulk, messages in ((True, 400_000), (False, 240_000)):
        (one, _), (two, sink) = (measure_workers(messages, cores[:count], bulk=bulk) for count in (1, 2))
        print(
            f"workers ({'bulk' if bulk else 'single'}): one on one core {one:,.0f} a second, "
            f"two on two {two:,.0f}: {two / one:.2f} x; the sink had {sink:.2f} of the second core, "
            f"with all of it {two / one * 2 / (2 - sink):.2f} x; load {os.getloadavg()[0]:.1f}"
        )


def measure_workers(messages: int, cores: list[int], *, bulk: bool) -> tuple[float, float]:
    """Return messages a second with a worker process for each core, and the share of a core that the sink had."""
    every = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as folder:
        workspace = make_workspace(Path(folder), bulk=bulk)
        write_audience(workspace, messages)
        command = [part.format(workspace=workspace, key="k") for part in launch_command("--workers", str(len(cores)))]
        try:
            os.sched_setaffinity(0, sorted(every)[1:2])
            with run_sink(0.0) as sink:
                os.sched_setaffinity(0, cores)
                measure([sys.executable, *command], make_environment(sink))
                before = read_children_cpu()
        finally:
            os.sched_setaffinity(0, every)
        ledger = open_ledger(f"sqlite:///{workspace / '.mailrun' / 'ledger.db'}")
        with ledger.read() as tx:
            settled = sorted(
                (one.settled_at, one.rows) for one in leases.list_leases(tx, "welcome/k") if one.settled_at
            )
        ledger.close()
    middle = settled[len(settled) // 3 : len(settled) * 9 // 10]
    seconds = (middle[-1][0] - middle[0][0]).total_seconds()
    speed = sum(rows for _, rows in middle[1:]) / seconds
    return speed, (read_children_cpu() - before) / messages * speed


def read_children_cpu() -> float:
    """Return the CPU seconds of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
