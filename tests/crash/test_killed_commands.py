"""kill -9 inside `resolve` and `forget`, at real system calls: readers and the audit count each recipient once."""

import signal
from collections import Counter

import polars as pl
import pytest
from support.invariants import check_invariants, count_received
from support.strace import under_strace
from support.world import RUN, World

from engine.delivery.pacing.concurrency import FEWEST
from engine.ledger.journal import Outcome

PEOPLE = 60


def leave_in_doubt(world: World) -> int:
    """Send to all recipients; the last calls get no answer. Returns how many are in doubt."""
    world.write_people(PEOPLE)
    world.fault("no_answer", count=None, after=PEOPLE - FEWEST)
    process = world.start_launch()
    world.wait_for_accepted(PEOPLE, process)
    process.kill()
    process.communicate()
    world.clear_faults()
    assert world.launch().code == 3
    told: int = world.run("status", RUN, "--json").json["in_doubt"]
    return told


def count_in_files(world: World) -> Counter[int]:
    rows = pl.read_parquet(world.run_folder / "outcomes" / "*.parquet", columns=["row"])["row"]
    return Counter(rows.to_list())


def run_killed_at(world: World, calls: str, nth: int, *command: str) -> bool:
    """Run a command that is killed at its Nth system call of a kind; False where it never came to it."""
    process = world.start_under(under_strace(calls, f"signal=SIGKILL:when={nth}"), *command)
    process.communicate(timeout=90)
    return process.returncode == -signal.SIGKILL


@pytest.mark.timeout(600)
def test_killed_resolve_leaves_each_recipient_counted_once(world: World):
    doubtful = leave_in_doubt(world)
    assert doubtful >= 1
    received, killed = count_received(world), 0
    for nth in (1, 2, 3):  # the file aside, its move, the next removal
        killed += run_killed_at(world, "rename,renameat2,unlink", nth, "resolve", RUN, "--sent")
        assert set(count_in_files(world).values()) == {1}
        assert len(count_in_files(world)) == PEOPLE
        assert world.run("audit", RUN).code == 0  # which finishes what was recorded
        assert check_invariants(world, in_doubt_at_most=doubtful).keys() <= {Outcome.SENT, Outcome.IN_DOUBT}
    assert killed
    assert world.run("resolve", RUN, "--sent").code == 0
    assert check_invariants(world) == {Outcome.SENT: PEOPLE}
    assert count_received(world) == received


@pytest.mark.timeout(600)
def test_what_a_killed_command_wrote_is_erased_by_the_next_forget(world: World):
    leave_in_doubt(world)
    assert run_killed_at(world, "fsync", 1, "resolve", RUN, "--skip")
    staged = world.run_folder / "staged"
    assert any(staged.iterdir())  # half-written, with addresses
    assert world.run("forget", "person7@example.com").code == 0
    assert list(staged.iterdir()) == []
    for path in world.run_folder.rglob("*.parquet"):
        frame = pl.read_parquet(path)
        assert "person7@example.com" not in (frame["address"].to_list() if "address" in frame.columns else [])
    assert set(count_in_files(world).values()) == {1}
    assert world.run("audit", RUN).code == 0


def test_what_a_killed_planning_left_is_removed_by_the_next_prune(world: World):
    world.write_people(PEOPLE)
    assert run_killed_at(world, "fsync", 1, "preview", "hello")
    staged = world.run_folder.parent
    assert [path.name[0] for path in staged.iterdir()] == ["."]
    pruned = world.run("prune", "--older-than", "90d")
    assert (pruned.code, "of killed commands removed" in pruned.stdout) == (0, True), pruned.stderr
    assert list(staged.iterdir()) == []
