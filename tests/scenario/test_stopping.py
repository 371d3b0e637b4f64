"""SIGTERM and SIGINT: the first drains, the second ends at once; the next launch goes on."""

import signal
from pathlib import Path

import pytest
from support.invariants import check_invariants
from support.world import World, finish, open_world, wait_for_line

from engine.delivery.concurrency import FEWEST
from engine.ledger.journal import Outcome


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains_and_leaves_nothing_in_doubt(tmp_path: Path, number: signal.Signals):
    with open_world(tmp_path, latency_seconds=0.05) as world:
        world.write_people(1500)
        process = world.start_launch()
        world.wait_for_accepted(200, process)
        process.send_signal(number)
        stopped = finish(process)
        assert stopped.code == 75
        assert stopped.json["state"] == "paused"
        assert stopped.json["reason"] == f"stopped by {number.name}"
        assert stopped.json["unsent"] > 0
        assert check_invariants(world)[Outcome.IN_DOUBT] == 0
        resumed = world.launch()
        assert (resumed.code, resumed.json["sent"]) == (0, 1500)
        assert check_invariants(world) == {Outcome.SENT: 1500}


def test_a_stop_tells_how_to_go_on(tmp_path: Path):
    with open_world(tmp_path, latency_seconds=0.05) as world:
        world.write_people(1500)
        process = world.start("launch", "hello", "--key", "test")
        world.wait_for_accepted(10, process)
        process.terminate()
        assert "to go on: python -m engine launch hello --key test" in finish(process).stdout


def test_the_second_signal_ends_at_once_and_what_was_in_flight_is_in_doubt(world: World):
    world.write_people(400)
    world.fault("no_answer", count=None, after=50)
    process = world.start_launch()
    world.wait_for_accepted(50 + FEWEST, process)
    world.wait_for_silence(process)
    process.terminate()
    wait_for_line(process, "run.stopping")
    process.terminate()
    stopped = finish(process, seconds=10)
    assert stopped.code == 75
    assert "stopped" in stopped.stderr
    hanging = len(world.accepted()) - 50
    assert hanging >= FEWEST
    world.clear_faults()
    assert world.launch().code == 3
    counts = check_invariants(world, in_doubt_at_most=hanging)
    assert counts == {Outcome.SENT: 400 - hanging, Outcome.IN_DOUBT: hanging}


def test_a_signal_while_the_audience_is_planned_leaves_no_run(world: World):
    world.write_people(400_000)
    process = world.start_launch()
    world.wait_for_staging(process)
    process.terminate()
    stopped = finish(process, seconds=10)
    assert stopped.code == 75
    assert "stopped while the audience was planned, nothing was sent" in stopped.stderr
    assert world.accepted() == []
    assert world.run("status", "--json").json == {"runs": []}
    assert list(world.run_folder.parent.iterdir()) == []


def test_a_signal_while_a_finished_run_is_taken_up_again_changes_nothing(tmp_path: Path):
    with open_world(tmp_path, latency_seconds=0.05) as world:
        world.write_people(600)
        process = world.start_launch()
        world.wait_for_accepted(100, process)
        process.terminate()
        finish(process)
        for _ in range(3):  # stopped again and again during the resume
            process = world.start_launch()
            world.wait_for_accepted(world.accepted_count() + 20, process)
            process.terminate()
            finish(process)
        assert world.launch().code == 0
        assert check_invariants(world) == {Outcome.SENT: 600}
