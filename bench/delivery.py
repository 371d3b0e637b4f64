"""CPU a message and throughput a core: `mailrun launch`, single and bulk, beside what people write today.

Every one is a process of its own, one after the other, against the same sink in another process. CPU is user and system
time of all threads; the start (imports, client, the check of the content by a sample of the plan) is measured with an
audience of the size of the sample and taken off, for all of them.
Render, record, sign, send, settle: all of it is in mailrun's figures, and its planning as well.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.launch import Measured, make_workspace, measure, write_audience
from bench.servers import ROOT, run_sink
from engine.run.content_check import SAMPLE_ROWS

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
        bulk: the campaign says call = "bulk".
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
TWO_WORKERS_MESSAGES = 60_000


def main() -> None:
    for latency in (0.0, REGION_LATENCY_SECONDS):
        print(f"delivery: the welcome campaign (3.8 KB of HTML, and text), answers after {latency * 1000:.0f} ms")
        print(f"{'':26}{'CPU µs a message':>18}{'messages a core second':>25}{'messages a second':>20}{'x loop':>9}")
        with tempfile.TemporaryDirectory() as folder, run_sink(latency) as url:
            found = {one.name: run_entrant(one, Path(folder), url, latency) for one in ENTRANTS}
        loop = next(cpu for name, (cpu, _) in found.items() if name.startswith("aiobotocore"))
        for name, (micros, speed) in found.items():
            print(f"{name:26}{micros:>18,.0f}{1e6 / micros:>25,.0f}{speed:>20,.0f}{loop / micros:>9.1f}")
    compare_workers()


def run_entrant(one: Entrant, folder: Path, url: str, latency: float) -> tuple[float, float]:
    """Return CPU microseconds a message and messages a second, without the start."""
    workspace = make_workspace(folder / one.name.replace(" ", "-"), bulk=one.bulk)
    messages = one.slow_messages if latency else one.messages
    found = []
    for key, rows in (("start", SAMPLE_ROWS), ("all", messages + SAMPLE_ROWS)):
        write_audience(workspace, rows)
        command = [part.format(workspace=workspace, key=key) for part in one.command]
        found.append(measure([sys.executable, *command], make_environment(url)))
    start, whole = found
    less: Measured = whole.less(start)
    return less.cpu_seconds / messages * 1e6, messages / less.wall_seconds


def compare_workers() -> None:
    """Two processes against one, where the CPU is the limit; the sink and whoever else is here need theirs as well."""
    speeds, lags = {}, {}
    with tempfile.TemporaryDirectory() as folder, run_sink(0.0) as url:
        for count in (1, 2):
            workspace = make_workspace(Path(folder) / str(count), bulk=True)
            write_audience(workspace, TWO_WORKERS_MESSAGES)
            command = [
                part.format(workspace=workspace, key="k") for part in launch_command("--workers", str(count), "-v")
            ]
            done = subprocess.run(
                [sys.executable, *command],
                check=True,
                env=make_environment(url),
                cwd=ROOT,
                capture_output=True,
                text=True,
            )
            accounts = json.loads(done.stdout)
            assert accounts["sent"] == TWO_WORKERS_MESSAGES
            events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
            speeds[count] = find_speed(events)
            lags[count] = max((one["lag_p99_ms"] for one in events if one["event"] == "worker.vitals"), default=0.0)
    print(f"workers (bulk): one {speeds[1]:,.0f} a second, two {speeds[2]:,.0f}: {speeds[2] / speeds[1]:.2f} x", end="")
    print(f" on {os.cpu_count()} cores, sink included; load {os.getloadavg()[0]:.1f}")
    print(f"event loop late by {lags[1]:.1f} ms (p99) with one worker at full speed")


def find_speed(events: list[dict[str, object]]) -> float:
    """Return messages a second between the first progress line and the last: starts of processes do not count."""
    from datetime import datetime  # noqa: PLC0415 - of this function alone

    told = [one for one in events if one["event"] in ("run.progress", "run.end")]
    if len(told) < 2:
        told = [one for one in events if one["event"] in ("run.begin", "run.end")]
    seconds = (datetime.fromisoformat(str(told[-1]["at"])) - datetime.fromisoformat(str(told[0]["at"]))).total_seconds()
    return (int(str(told[-1]["done"])) - int(str(told[0]["done"]))) / max(seconds, 0.001)


def make_environment(url: str) -> dict[str, str]:
    keys = {"AWS_ACCESS_KEY_ID": "AKIDBENCH", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    return os.environ | keys | {"AWS_ENDPOINT_URL_SESV2": url}


if __name__ == "__main__":
    main()
