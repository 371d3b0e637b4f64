"""CPU a message of `mailrun launch`, single and bulk, compared with common scripts that send the same messages.

All send to the recipients that the plan of a realistic audience accepts, through the same sink in another process: over
HTTP, and over HTTPS with latency. Each runs in a process of its own, one after the other, several times in turn. Each
time it sends to a few and then to many, and the difference counts: starts of processes, imports and the check of the
content do not. The figures of mailrun include planning, rendering, recording, signing, sending and settling. The sink
counts the messages: all of them must arrive, and the bodies of single calls must be as large as those of the loop.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import polars as pl

from bench.comparison import RUNS, Row, print_rows
from bench.peers.node import INSTALLED, find_obstacle
from bench.processes import Usage, run
from bench.servers import SinkServer, make_environment, run_sink
from bench.workspaces import make_workspace, write_audience

FEW = 1_000
IN_FLIGHT = 128
THREADS = 64
SETTINGS = {"HTTP": (0.0, False), "HTTPS, 20 ms": (0.02, True)}
TARGETS = {
    ("single", "HTTP"): "≥ 9",
    ("single", "HTTPS, 20 ms"): "≥ 8",
    ("bulk", "HTTP"): "≥ 20",
    ("bulk", "HTTPS, 20 ms"): "≥ 20",
}
LOOP = "aiobotocore loop"
SAME_SIZE = 0.05  # botocore writes JSON with blanks and escapes what is not ASCII


@dataclass(frozen=True)
class Sender:
    """One way to send.

    Attributes:
        name: in the table.
        command: what is run; {workspace}, {messages} and {key} are filled in.
        many: messages.
        call: of campaign.toml, "single" or "bulk"; empty for a sender that is not mailrun.
    """

    name: str
    command: tuple[str, ...]
    many: int
    call: str = ""


@dataclass(frozen=True)
class Cost:
    """What one message took.

    Attributes:
        cpu: seconds, without the start.
        whole_cpu: seconds of the whole command that sent to many, for each message.
        wall: seconds, without the start.
        body_bytes: of the requests.
    """

    cpu: float
    whole_cpu: float
    wall: float
    body_bytes: float


def launch_command(*more: str) -> tuple[str, ...]:
    launch = ("-m", "engine", "launch", "welcome", "--workspace", "{workspace}", "--key", "bench", "--json")
    return (sys.executable, *launch, *more)


def peer_command(script: str, in_flight: int) -> tuple[str, ...]:
    run_script = (
        ("node", str(INSTALLED / script))
        if script.endswith(".mjs")
        else (sys.executable, "-m", f"bench.peers.{script}")
    )
    return (*run_script, "{workspace}", "{messages}", str(in_flight))


MAILRUN = (
    Sender("mailrun, bulk", launch_command("--workers", "1"), 120_000, call="bulk"),
    Sender("mailrun, single", launch_command("--workers", "1"), 60_000, call="single"),
)
PYTHON_PEERS = (
    Sender(LOOP, peer_command("aiobotocore_loop", IN_FLIGHT), 8_000),
    Sender(f"boto3, {THREADS} threads", peer_command("boto3_threads", THREADS), 5_000),
)
NODE_PEERS = (
    Sender("Node, @aws-sdk/client-sesv2", peer_command("client_sesv2.mjs", IN_FLIGHT), 12_000),
    Sender("Node, nodemailer's SES transport", peer_command("nodemailer_ses.mjs", IN_FLIGHT), 8_000),
)


def compare_senders(runs: int) -> Iterator[Row]:
    """Compare the CPU per message of every sender with the loop's, in each setting."""
    obstacle = find_obstacle()
    senders = (*MAILRUN, *PYTHON_PEERS, *(() if obstacle else NODE_PEERS))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_recipients(folder, FEW + max(one.many for one in senders if not one.call))
        for setting, (latency, tls) in SETTINGS.items():
            with run_sink(latency, tls=tls) as sink:
                costs = [{one.name: measure(one, folder, sink) for one in senders} for _ in range(runs)]
            check_sizes(costs)
            yield from (make_row(one, setting, costs) for one in senders)
            if obstacle:
                yield from (Row(f"{one.name}, {setting}", (), note=obstacle) for one in NODE_PEERS)


def make_row(sender: Sender, setting: str, runs: Sequence[dict[str, Cost]]) -> Row:
    pairs = [(costs[LOOP], costs[sender.name]) for costs in runs]
    cpu, whole, wall = (median(getattr(own, name) for _, own in pairs) for name in ("cpu", "whole_cpu", "wall"))
    note = f"{cpu * 1e6:,.0f} µs per message, {1 / wall:,.0f} messages per second"
    if sender.call:
        note += (
            f"; with the start {whole * 1e6:,.0f} µs, {median(loop.cpu / own.whole_cpu for loop, own in pairs):.1f} x"
        )
    return Row(
        f"{sender.name}, {setting}: CPU of the loop / its CPU",
        [loop.cpu / own.cpu for loop, own in pairs],
        target=TARGETS.get((sender.call, setting), ""),
        note=note,
    )


def check_sizes(runs: Sequence[dict[str, Cost]]) -> None:
    """Check that single calls and the loop send messages of the same size."""
    for costs in runs:
        own, loop = costs["mailrun, single"].body_bytes, costs[LOOP].body_bytes
        assert abs(own / loop - 1) < SAME_SIZE, f"bodies of {own:,.0f} bytes, of the loop {loop:,.0f}"


def measure(sender: Sender, folder: Path, sink: SinkServer) -> Cost:
    """Send to a few, then to many; return what one message more took."""
    few, _ = send(sender, folder, sink, FEW)
    many, body_bytes = send(sender, folder, sink, FEW + sender.many)
    return Cost(
        cpu=(many.cpu_seconds - few.cpu_seconds) / sender.many,
        whole_cpu=many.cpu_seconds / (FEW + sender.many),
        wall=(many.wall_seconds - few.wall_seconds) / sender.many,
        body_bytes=body_bytes / (FEW + sender.many),
    )


def send(sender: Sender, folder: Path, sink: SinkServer, messages: int) -> tuple[Usage, int]:
    """Run a sender; return what it used, and the bytes of its requests' bodies.

    Raises:
        AssertionError: not every message arrived.
    """
    workspace = folder / "peers"
    if sender.call:
        workspace = make_workspace(folder / "launch", bulk=sender.call == "bulk")
        write_audience(workspace, messages)
    before = sink.read_figures()
    command = [part.format(workspace=workspace, messages=messages) for part in sender.command]
    usage, after = run(command, make_environment(sink)), sink.read_figures()
    arrived = after.messages - before.messages
    assert arrived == messages, f"{sender.name}: {arrived:,} of {messages:,} messages arrived"
    shutil.rmtree(folder / "launch", ignore_errors=True)
    return usage, after.body_bytes - before.body_bytes


def write_recipients(folder: Path, count: int) -> None:
    """Make the workspace of the senders that are not mailrun: the recipients that the plan of an audience accepts."""
    workspace = make_workspace(folder / "plan")
    write_audience(workspace, count)
    run((sys.executable, "-m", "engine", "plan", "welcome", "--workspace", str(workspace)), os.environ)
    recipients = pl.read_parquet(workspace / ".mailrun" / "plans" / "welcome" / "plan" / "recipients-*.parquet")
    (folder / "peers").mkdir()
    recipients.write_ndjson(folder / "peers" / "recipients.ndjson")
    shutil.copytree(workspace / "campaigns", folder / "peers" / "campaigns")


def main() -> None:
    print_rows(compare_senders(RUNS))


if __name__ == "__main__":
    main()
