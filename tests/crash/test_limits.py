"""Disk, memory or open files run out: the run stops, reports it, and completes when there is more."""

import json
import resource
import signal
import subprocess
from pathlib import Path

import pytest
from support.disks import fill_disk, needs_root, small_disk
from support.invariants import check_invariants, count_received
from support.world import RUN, World, finish, open_world

from engine.ledger.journal import Outcome


@needs_root
@pytest.mark.parametrize("megabytes", [0.2, 0.8])
def test_a_disk_that_fills_up_while_the_plan_is_written_is_reported(tmp_path: Path, megabytes: float):
    with small_disk(tmp_path / "disk", megabytes) as disk, open_world(tmp_path) as world:
        world.settings["MAILRUN_STORE"] = str(disk / "store")
        world.write_people(60_000)
        for command in (["plan", "hello"], ["launch", "hello", "--key", "test"]):
            stopped = world.run(*command)
            assert stopped.code == 75, stopped.stderr
            assert "is full" in stopped.stderr
            assert str(disk) in stopped.stderr
        assert world.accepted() == []


@needs_root
def test_a_full_store_beside_a_healthy_ledger_leaves_nothing_in_doubt(tmp_path: Path):
    """What was journalled before the store failed, and not handed over, is unsent: it never left."""
    with small_disk(tmp_path / "disk", 12) as disk, open_world(tmp_path, max_send_rate=3000.0) as world:
        world.settings |= {
            "MAILRUN_STORE": str(disk / "store"),
            "MAILRUN_LEDGER": f"sqlite:///{tmp_path / 'elsewhere.db'}",
        }
        world.write_people(20_000)
        process = world.start_launch()
        world.wait_for_accepted(500, process)
        ballast = fill_disk(disk)
        stopped = finish(process)
        assert stopped.code == 75, stopped.stderr
        assert "the disk with the store is full" in stopped.stderr
        accounts = world.run("status", "hello/test", "--json").json
        received = count_received(world)
        assert accounts["in_doubt"] == 0
        assert accounts["sent"] == len(received)
        ballast.unlink()
        ended = world.launch()
        assert (ended.code, ended.json["sent"]) == (0, 20_000), ended.stderr
        assert set(count_received(world).values()) == {1}
        assert len(count_received(world)) == 20_000


def test_a_memory_limit_that_is_reached_in_mid_run_ends_the_run(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=2000.0) as world:
        world.write_people(20_000)
        process = world.start_launch()
        world.wait_for_accepted(500, process)
        limit = read_address_space(process.pid)
        resource.prlimit(process.pid, resource.RLIMIT_AS, (limit, limit))
        code, told = finish_whatever(process)
        # Where Polars gets no memory, Rust ends the process, without a report.
        assert code in (75, -signal.SIGABRT), told
        assert ("memory limit" if code == 75 else "alloc") in told
        stands, received = world.run("status", RUN, "--json").json, count_received(world)
        assert stands["state"] == ("paused" if code == 75 else "sending"), stands
        assert sum(stands[str(outcome)] for outcome in Outcome) == 20_000
        assert stands["sent"] <= len(received) <= stands["sent"] + stands["in_doubt"]
        ended = world.launch()
        assert ended.code == (3 if ended.json["in_doubt"] else 0), ended.stderr
        counts = check_invariants(world, in_doubt_at_most=stands["in_doubt"])
        assert counts[Outcome.SENT] + counts[Outcome.IN_DOUBT] == 20_000


def test_too_few_files_are_reported_with_the_number_that_is_needed(world: World):
    world.write_people(300)
    for files in (16, 64):
        stopped = run_limited(world, files)
        assert stopped.returncode == 75, stopped.stderr
        assert "needs at least 96" in stopped.stderr
        assert "ulimit -n" in stopped.stderr
        assert json.loads(stopped.stdout)["error"]["exit_code"] == 75
    assert world.accepted() == []
    assert run_limited(world, 96).returncode == 0
    assert check_invariants(world) == {Outcome.SENT: 300}


def run_limited(world: World, files: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["prlimit", f"--nofile={files}:{files}", *world.command("launch", "hello", "--key", "test", "--json")],  # noqa: S607 - the system's
        cwd=world.folder,
        env=world.environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def read_address_space(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def finish_whatever(process: subprocess.Popen[str], seconds: float = 60) -> tuple[int, str]:
    """Wait for the end of a command, with any output; fails if it hangs."""
    told = process.communicate(timeout=seconds)[1]
    return process.returncode, told
