"""Full and failing disks, a read-only store, a database that goes away, clocks that jump."""

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from support.disks import fill_disk, small_disk
from support.invariants import check_invariants, count_received
from support.postgres import run_cluster
from support.soak import choose
from support.stopped import stop_between_transactions
from support.strace import under_strace
from support.world import RUN, World, finish, open_world, wait_for_line, wait_until

from engine.delivery.pacing.concurrency import MOST_WHERE_LATE
from engine.ledger.journal import Outcome

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_full_disk_pauses_the_run_which_completes_when_space_is_freed(tmp_path: Path):
    with small_disk(tmp_path / "disk", 12) as disk, open_world(tmp_path, max_send_rate=500.0) as world:
        world.settings["MAILRUN_STORE"] = str(disk / "store")
        world.write_people(3000)
        process = world.start_launch()
        world.wait_for_accepted(200, process)
        ballast = fill_disk(disk)
        stopped = finish(process)
        assert stopped.code == 75
        assert "the disk with the" in stopped.stderr
        assert "is full" in stopped.stderr
        assert str(disk) in stopped.stderr
        assert "free some space" in stopped.stderr
        stands = len(world.accepted())
        assert stands < 3000
        ballast.unlink()
        world.change_sandbox(max_send_rate=10_000)
        ended = world.launch()
        assert ended.code in (0, 3), ended.stderr
        received = count_received(world)
        assert set(received.values()) == {1}
        assert ended.json["sent"] + ended.json["in_doubt"] == 3000
        assert ended.json["in_doubt"] <= MOST_WHERE_LATE


@pytest.mark.parametrize(("error", "words"), [("ENOSPC", "is full"), ("EIO", "has I/O errors")])
def test_failing_disk_stops_the_run_with_nothing_sent_unrecorded(world: World, error: str, words: str):
    world.write_people(300)
    world.change_sandbox(max_send_rate=200)
    assert world.launch("--limit", "0").code == 0  # the ledger is there
    calls = "pwrite64" if error == "ENOSPC" else "fsync,fdatasync"
    wal = str(world.folder / ".mailrun" / "ledger.db-wal")
    process = world.start_under(
        under_strace(calls, f"error={error}:when=30+", wal), "launch", "hello", "--key", "second", "--json"
    )
    stopped = finish(process)
    assert stopped.code == 75, stopped.stderr
    assert words in stopped.stderr
    ended = world.run("launch", "hello", "--key", "second", "--json")
    assert ended.json["state"] == "finished"
    counts = check_invariants(world, "hello/second", in_doubt_at_most=MOST_WHERE_LATE)
    assert counts[Outcome.SENT] + counts[Outcome.IN_DOUBT] == 300


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a disk needs root")
def test_unwritable_store_is_reported_and_nothing_is_sent(tmp_path: Path):
    with small_disk(tmp_path / "disk", 8) as disk, open_world(tmp_path) as world:
        world.settings["MAILRUN_STORE"] = str(disk / "store")
        world.write_people(5)
        assert world.launch("--limit", "1").code == 0
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)  # noqa: S607 - the system's
        refused = world.run("launch", "hello", "--key", "second", "--json")
        assert refused.code == 78
        assert "Read-only file system" in refused.stderr
        assert str(disk) in refused.stderr
        assert len(world.accepted()) == 1


def test_run_resumes_by_itself_when_postgresql_restarts_or_crashes(tmp_path: Path):
    with run_cluster() as cluster, open_world(tmp_path, ledger=cluster.make_database(), max_send_rate=300.0) as world:
        world.write_people(1500)
        process = world.start_launch()
        world.wait_for_accepted(100, process)
        cluster.stop("fast")
        wait_for_line(process, "ledger.away")
        stands = world.accepted_count()
        assert stands < 1500
        cluster.start()
        world.wait_for_accepted(stands + 300, process)
        cluster.stop("immediate")  # a crash
        cluster.start()
        ended = finish(process)
        assert (ended.code, ended.json["state"]) == (0, "finished")
        assert check_invariants(world) == {Outcome.SENT: 1500}


def test_nothing_is_sent_while_the_ledger_is_unreachable(tmp_path: Path):
    """The connection is lost between intent and call: what has no durable record is not handed over."""
    with run_cluster() as cluster, open_world(tmp_path, ledger=cluster.make_database(), max_send_rate=300.0) as world:
        world.write_people(1000)
        process = world.start_launch()
        world.wait_for_accepted(100, process)
        cluster.stop("immediate")
        wait_for_line(process, "ledger.away")
        until = time.monotonic() + 1.0
        wait_until(lambda: time.monotonic() > until)
        stands = world.accepted_count()
        until = time.monotonic() + 2.0
        wait_until(lambda: time.monotonic() > until)
        assert world.accepted_count() == stands
        cluster.start()
        assert finish(process).code == 0
        assert check_invariants(world) == {Outcome.SENT: 1000}


def test_failover_to_a_standby_continues_when_nothing_was_lost(tmp_path: Path):
    with run_cluster() as primary, open_world(tmp_path, ledger=primary.make_database(), max_send_rate=300.0) as world:
        standby = primary.copy_to(primary.folder.parent / "standby", primary.port, standby=True)
        standby.listen("127.0.0.2")
        standby.start()
        world.write_people(1000)
        process = world.start_launch()
        world.wait_for_accepted(200, process)
        primary.stop("fast")  # it hands all it has to the standby; then the address moves
        try:
            standby.stop("fast")
            standby.listen("127.0.0.1")
            standby.start()
            standby.promote()
            ended = finish(process)
            assert (ended.code, ended.json["state"]) == (0, "finished")
            assert check_invariants(world) == {Outcome.SENT: 1000}
        finally:
            standby.stop("immediate")
            primary.start()


@pytest.mark.parametrize("hours", choose(-3, 3))
def test_a_wall_clock_that_jumps_makes_no_doubt_and_no_second_copy(tmp_path: Path, hours: int):
    assert Path(FAKETIME).exists(), "libfaketime is missing: apt-get install faketime"
    with open_world(tmp_path, max_send_rate=200.0) as world:
        world.write_people(2400)
        offset = tmp_path / "offset"
        offset.write_text("+0\n")
        faked = {
            "LD_PRELOAD": FAKETIME,
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        first = world.start("launch", "hello", "--key", "test", "--json", folder=None, **faked)
        world.wait_for_accepted(50, first)
        second = world.fork("work", RUN, "--json")  # its clock stays right
        world.wait_for_workers(2)
        offset.write_text(f"{hours:+d}h\n")
        # SES refuses signatures of a wrong time: the run reports it and pauses, and resumes when the clock is right.
        assert {finish(first).code, finish(second).code} <= {0, 75}
        assert world.launch().json["state"] == "finished"
        assert check_invariants(world) == {Outcome.SENT: 2400}
        assert world.sandbox_state()["largest_second"] <= 200 * 1.1 + 200


def test_launch_resumes_when_a_stopped_process_locks_the_ledger(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=100.0) as world:
        world.write_people(300)
        assert world.launch("--limit", "0").code == 0  # the ledger is there
        with closing(sqlite3.connect(world.folder / ".mailrun" / "ledger.db", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            refused = world.run("launch", "hello", "--key", "second", "--json")
            assert refused.code == 75
            assert "another process has held the ledger" in refused.stderr
            assert "run the same command again" in refused.stderr
            assert world.accepted() == []
            holder.execute("ROLLBACK")
        assert world.run("launch", "hello", "--key", "second", "--json").json["sent"] == 300


def test_suspended_process_wakes_without_a_burst_or_duplicates(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=100.0) as world:
        world.write_people(1200)
        zombie = world.start_launch()
        world.wait_for_accepted(100, zombie)
        stop_between_transactions(zombie, world.folder / ".mailrun" / "ledger.db")
        successor = world.launch()  # waits for the silence to last, then takes over
        zombie.send_signal(signal.SIGCONT)
        ended = finish(zombie)
        assert {successor.code, ended.code} <= {0, 3}, successor.stderr + ended.stderr
        assert (successor.json["state"], ended.json["state"]) == ("finished", "finished")
        counts = check_invariants(world, in_doubt_at_most=MOST_WHERE_LATE)
        assert counts[Outcome.SENT] + counts[Outcome.IN_DOUBT] == 1200
        assert world.sandbox_state()["largest_second"] <= 100 * 1.1 + 100
