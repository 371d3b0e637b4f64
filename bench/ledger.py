"""The cost of the ledger: CPU a message at full speed, resuming a large run, two workers over PostgreSQL, its size.

The ledger alone: intents and outcomes through the recorder as a worker of `call = "single"` records them, nothing is
rendered or sent. CPU is user and system time of all threads of this process.
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from bench import ROOT
from bench.servers import run_sandbox
from engine.audience.planning.plan_files import RecipientsFile, divide, recipients_file
from engine.delivery.pacing.concurrency import MOST_WHERE_LATE  # what a worker has in flight at full speed
from engine.ledger import leases, runs
from engine.ledger.database import Ledger, open_ledger
from engine.ledger.journal import Intent, Outcome, Result
from engine.ledger.leases import Lease
from engine.ledger.recorder import Recorder
from engine.ledger.runs import Run
from engine.ledger.schema import RunState

sys.path.insert(0, str(ROOT / "tests"))  # the cluster that tests start, and their large ledger

MESSAGES, LARGE, LEASE = 50_000, 10_000_000, 5_000
NAME, NOW = "bench/1", datetime(2026, 11, 24, tzinfo=UTC)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        cost(f"sqlite:///{folder}/ledger.db")
    two_workers()
    recovery()
    size()


def cost(url: str) -> None:
    ledger = open_ledger(url)
    _make_run(ledger, NAME, MESSAGES // LEASE)
    before, begun = time.process_time(), time.perf_counter()
    commits = asyncio.run(_record_all(ledger, "w", MESSAGES, MOST_WHERE_LATE))
    cpu, wall = time.process_time() - before, time.perf_counter() - begun
    before = time.process_time()
    asyncio.run(_idle(MESSAGES, MOST_WHERE_LATE))
    loop = time.process_time() - before
    ledger.close()
    print(
        f"single, SQLite, synchronous=FULL: {(cpu - loop) / MESSAGES * 1e6:.1f} µs CPU a message"
        f" ({cpu / MESSAGES * 1e6:.1f} with the tasks of the event loop that wait for it),"
        f" {MESSAGES / wall:,.0f} dispatches a second, {commits:,} commits"
    )


async def _record_all(ledger: Ledger, worker: str, messages: int, at_once: int) -> int:
    commits = 0

    def count(_lease: Lease, _sequence: int) -> None:
        nonlocal commits
        commits += 1

    recorder = Recorder(ledger, durable=count)
    left = messages
    held: set[int] = set()

    async def send(lease: Lease, rows: list[int]) -> None:
        while rows:
            row = rows.pop()
            await recorder.record(lease, [Intent(row)])
            result = Result(
                row, Outcome.SENT, "0100019a0bdb81e2-e44a90e6-8596-03ad-5264-3773e31c3895-000000", None, 1.0, 1
            )
            await recorder.record(lease, [result])

    while left > 0:
        taken = await recorder.transact(
            lambda tx: leases.take_lease(tx, NAME, worker=worker, live={"w", "v"}, holding=held)
        )
        if taken is None:
            break
        held.add(taken.ordinal)
        rows = list(range(LEASE))
        await asyncio.gather(*(send(taken, rows) for _ in range(at_once)))
        left -= LEASE
    await recorder.close()
    return commits


async def _idle(messages: int, at_once: int) -> None:
    """Let the event loop wait for two records, without any ledger."""
    left = list(range(messages))

    async def wait() -> None:
        while left:
            left.pop()
            for _ in range(2):
                future = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_soon(future.set_result, None)
                await future

    await asyncio.gather(*(wait() for _ in range(at_once)))


def _make_run(ledger: Ledger, name: str, count: int) -> None:
    run = Run(
        name=name,
        state=RunState.PLANNED,
        reason=None,
        sandbox=False,
        folder=f"runs/{name}",
        manifest_digest="d",
        rows_read=count * LEASE,
        accepted=count * LEASE,
        excluded={},
        created_at=NOW,
        started_at=None,
        finished_at=None,
    )
    with ledger.write() as tx:
        runs.insert_run(tx, run, lease_rows=[LEASE] * count)
        runs.start_run(tx, name, NOW)


def two_workers() -> None:
    from support.postgres import run_cluster  # noqa: PLC0415 - of the tests

    with run_cluster() as cluster:
        url = cluster.make_database()
        ledger = open_ledger(url)
        _make_run(ledger, NAME, MESSAGES // LEASE)
        begun = time.perf_counter()
        command = [sys.executable, "-m", "bench.ledger", url]
        workers = [
            subprocess.Popen([*command, name], cwd=ROOT, stdout=subprocess.PIPE, text=True) for name in ("w", "v")
        ]
        spans = [json.loads(process.communicate()[0]) for process in workers]
        ledger.close()
    seconds = max(end for _, end, _ in spans) - min(start for start, _, _ in spans)
    print(
        f"two workers over PostgreSQL: {MESSAGES / seconds:,.0f} dispatches a second between them"
        f" ({time.perf_counter() - begun:.1f} s with their start)"
    )


def recovery() -> None:
    """Resume a run of ten million recipients of which a worker left leases open, until the first accepted message."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environment = stack.enter_context(run_sandbox())[0]
        workspace = folder / "workspace"
        _make_large_run(workspace, environment)
        command = [
            sys.executable,
            "-m",
            "engine",
            "launch",
            "big",
            "--key",
            "1",
            "--workspace",
            str(workspace),
            "--json",
        ]
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        with subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            ledger = open_ledger(f"sqlite:///{workspace}/.mailrun/ledger.db")
            while not _count_journal(ledger):
                time.sleep(0.005)
            seconds = time.perf_counter() - begun
            process.kill()
            process.wait()
            ledger.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"resuming a run of {LARGE:,} recipients, from the command to its first intent:"
        f" {seconds:.2f} s, of which {cpu:.2f} s CPU"
    )


def _launch_command(workspace: Path) -> list[str]:
    engine = [sys.executable, "-m", "engine"]
    return [*engine, "launch", "big", "--key", "1", "--workspace", str(workspace), "--json"]


def _count_journal(ledger: Ledger) -> int:
    with ledger.read() as tx:
        return len(leases.list_last_sequences(tx, "big/1"))


def _make_large_run(workspace: Path, environment: dict[str, str]) -> None:
    """Launch a small run, then put a plan of ten million in its place."""
    from engine.run.manifest import read_manifest, write_manifest  # noqa: PLC0415
    from engine.store.files import digest_file  # noqa: PLC0415

    campaign = workspace / "campaigns" / "big"
    campaign.mkdir(parents=True)
    (workspace / "audiences").mkdir()
    (workspace / "audiences" / "a.csv").write_text("email\n")
    (campaign / "campaign.toml").write_text(
        'from = "a@acme.example"\nsubject = "s"\nkind = "transactional"\n[audience]\nsource = "audiences/a.csv"\n'
        '[content]\ntext = "t.j2"\n'
    )
    (campaign / "t.j2").write_text("Hello\n")
    command = _launch_command(workspace)
    subprocess.run(command, check=True, env=environment, cwd=ROOT, capture_output=True)
    run_folder = workspace / ".mailrun" / "runs" / "big" / "1"
    plan = run_folder / "plan" / recipients_file(0)
    rows = pl.int_range(1, LARGE + 1, dtype=pl.UInt64, eager=True).alias("row")
    address = pl.format("person{}@example.com", "row")
    frame = pl.DataFrame(rows).select(
        "row",
        pl.lit("a.csv").alias("file"),
        pl.col("row").alias("line"),
        address.alias("address"),
        address.alias("key"),
    )
    frame.write_parquet(plan, compression="zstd", row_group_size=LEASE)
    manifest = read_manifest(run_folder)
    large = manifest.model_copy(
        update={
            "accepted": LARGE,
            "rows_read": LARGE,
            "leases": divide([RecipientsFile(plan.name, LARGE, LEASE)]),
            "plan_files": manifest.plan_files | {plan.name: digest_file(plan)},
        }
    )
    digest = write_manifest(run_folder, large)
    for file in (workspace / ".mailrun").glob("ledger.db*"):
        file.unlink()
    ledger = open_ledger(f"sqlite:///{workspace}/.mailrun/ledger.db")
    _make_run(ledger, "big/1", LARGE // LEASE)
    with ledger.write() as tx:
        runs.set_manifest(tx, "big/1", digest)
        for worker in ("dead", "gone"):
            leases.take_lease(tx, "big/1", worker=worker, live=set(), holding=[0])
    ledger.close()


def size() -> None:
    from support.large import RUNS, fill  # noqa: PLC0415 - of the tests

    with tempfile.TemporaryDirectory() as folder:
        ledger = open_ledger(f"sqlite:///{folder}/ledger.db")
        fill(ledger)
        ledger.close()
        megabytes = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
        begun = time.perf_counter()
        command = [sys.executable, "-m", "engine", "status", "--json", "--store", folder, "--workspace", folder]
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True, env=dict(os.environ))
        print(f"{RUNS:,} runs of a million: {megabytes:,.0f} MB, mailrun status {time.perf_counter() - begun:.2f} s")


def work(url: str, worker: str) -> None:
    """Run one of the two workers; print when recording began and ended."""
    ledger = open_ledger(url)
    begun = time.time()
    commits = asyncio.run(_record_all(ledger, worker, MESSAGES, MOST_WHERE_LATE))
    print(json.dumps([begun, time.time(), commits]))
    ledger.close()


if __name__ == "__main__":
    work(*sys.argv[1:]) if len(sys.argv) > 1 else main()
