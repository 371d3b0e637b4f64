"""Two launches of the same key at the same moment make one run."""

from pathlib import Path

from support.invariants import check_invariants
from support.world import World, finish, open_world

from engine.ledger.journal import Outcome


def test_launches_in_the_same_second_send_to_each_recipient_once_in_total(world: World):
    world.write_people(1200)
    ended = [finish(process) for process in [world.start_launch() for _ in range(3)]]
    assert [launch.code for launch in ended] == [0, 0, 0]
    assert {launch.json["state"] for launch in ended} == {"finished"}
    assert check_invariants(world) == {Outcome.SENT: 1200}


def test_one_of_two_workers_that_is_stopped_leaves_the_run_to_the_other(tmp_path: Path):
    with open_world(tmp_path, latency_seconds=0.1, max_send_rate=150.0) as world:
        world.write_people(1600)
        first = world.start_launch()
        world.wait_for_accepted(100, first)
        second = world.start_launch()
        world.wait_for_workers(2)
        world.wait_for_accepted(world.accepted_count() + 50, first)
        first.terminate()
        stopped, finished = finish(first), finish(second)
        assert stopped.code == 75
        assert stopped.json["state"] == "sending"
        assert (finished.code, finished.json["state"]) == (0, "finished")
        assert check_invariants(world) == {Outcome.SENT: 1600}


def test_workers_share_the_rate_of_the_account(tmp_path: Path):
    with open_world(tmp_path, max_send_rate=200.0) as world:
        world.write_people(1200)
        ended = [finish(process) for process in [world.start_launch() for _ in range(2)]]
        assert [launch.code for launch in ended] == [0, 0]
        assert check_invariants(world) == {Outcome.SENT: 1200}
        assert world.sandbox_state()["largest_second"] <= 200 * 1.1 + 200
