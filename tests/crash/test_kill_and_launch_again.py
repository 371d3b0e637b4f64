"""kill -9 in mid-run, then launch again: each recipient is handed over at most once, and none is lost."""

import random
import signal
from pathlib import Path

import pytest
from support.doubt import AT_MOST_WHERE_LATE
from support.held import start_planning
from support.invariants import check_invariants, count_received
from support.soak import choose
from support.stopped import stop_between_transactions
from support.world import World, finish, open_world

from engine.delivery.pacing.concurrency import FEWEST, MOST_WHERE_LATE
from engine.ledger.journal import Outcome

RECIPIENTS = 1500
KILLS = 4


@pytest.mark.parametrize("seed", choose(*range(3)))
def test_run_killed_at_random_hands_over_each_recipient_at_most_once(tmp_path: Path, seed: int):
    dice = random.Random(seed)
    with open_world(tmp_path, latency_seconds=0.02) as world:
        world.constants = AT_MOST_WHERE_LATE
        world.write_people(RECIPIENTS)
        moments = sorted(dice.sample(range(1, RECIPIENTS - 100), KILLS))
        for moment in moments:
            process = world.start_launch()
            world.wait_for_accepted(moment, process)
            process.kill()
            process.communicate()
        last = world.launch()
        counts = check_invariants(world, in_doubt_at_most=KILLS * MOST_WHERE_LATE)
        assert last.json["state"] == "finished"
        assert last.code == (3 if counts[Outcome.IN_DOUBT] else 0)
        assert counts[Outcome.SENT] + counts[Outcome.IN_DOUBT] == RECIPIENTS
        again = world.launch()
        assert again.code == last.code
        assert check_invariants(world, in_doubt_at_most=KILLS * MOST_WHERE_LATE) == counts


def test_only_calls_in_flight_are_in_doubt_when_killed_unanswered(world: World):
    world.write_people(400)
    world.fault("no_answer", count=None, after=100)
    process = world.start_launch()
    world.wait_for_accepted(100 + FEWEST, process)
    hanging = world.wait_for_silence(process) - 100
    process.kill()
    process.communicate()
    world.clear_faults()
    assert world.launch().code == 3
    counts = check_invariants(world, in_doubt_at_most=hanging)
    assert counts[Outcome.IN_DOUBT] == hanging
    assert counts[Outcome.SENT] == 400 - hanging


def test_messages_in_doubt_are_resent_when_the_campaign_sets_resend(world: World):
    world.write_people(300)
    toml = (world.campaign / "campaign.toml").read_text()
    world.write("campaigns/hello/campaign.toml", toml + '\n[delivery]\nin_doubt = "resend"\n')
    world.fault("no_answer", count=None, after=50)
    process = world.start_launch()
    world.wait_for_accepted(50 + FEWEST, process)
    hanging = world.wait_for_silence(process) - 50
    process.kill()
    process.communicate()
    world.clear_faults()
    launched = world.launch()
    assert (launched.code, launched.json["sent"]) == (0, 300)
    assert len(world.accepted()) == 300 + hanging


def test_launch_killed_while_planning_leaves_nothing_in_the_way(world: World):
    world.write_people(20)
    process = start_planning(world, "launch", "hello", "--key", "test", "--json", "--limit", "5")
    process.kill()
    process.communicate()
    assert world.accepted() == []
    launched = world.launch("--limit", "5")
    assert (launched.code, launched.json["sent"]) == (0, 5)
    assert list(world.run_folder.parent.iterdir()) == [world.run_folder]


def test_unknown_run_folder_that_never_began_is_planned_again(world: World):
    """As after a kill of an older version, or where the ledger was lost before the first message."""
    world.write_people(20)
    assert world.launch("--limit", "0").code == 0
    for file in (world.folder / ".mailrun").glob("ledger.db*"):
        file.unlink()
    (world.run_folder / "begun").unlink()
    world.write_people(5)  # what is there now counts
    launched = world.launch()
    assert (launched.code, launched.json["sent"]) == (0, 5)
    assert "launch.orphaned" in launched.stderr
    assert check_invariants(world) == {Outcome.SENT: 5}


def test_worker_that_lost_its_lease_while_stopped_records_nothing_more(world: World):
    """A zombie: stopped, its lease taken over by a new owner, then continued."""
    world.constants = AT_MOST_WHERE_LATE
    world.write_people(300)
    world.change_sandbox(latency_seconds=0.2)
    zombie = world.start_launch()
    world.wait_for_accepted(100, zombie)
    stop_between_transactions(zombie, world.folder / ".mailrun" / "ledger.db")
    world.forget_workers()  # as after a long time without heartbeats
    successor = world.launch()
    zombie.send_signal(signal.SIGCONT)
    ended = finish(zombie)
    assert successor.json["state"] == "finished"
    assert ended.json["state"] == "finished"
    counts = check_invariants(world, in_doubt_at_most=MOST_WHERE_LATE)
    assert counts[Outcome.SENT] + counts[Outcome.IN_DOUBT] == 300


def test_begun_run_is_not_begun_again_by_a_ledger_without_it(world: World):
    world.write_people(300)
    process = world.start_launch()
    world.wait_for_accepted(1, process)
    process.kill()
    process.communicate()
    for file in (world.folder / ".mailrun").glob("ledger.db*"):
        file.unlink()
    refused = world.launch()
    assert refused.code == 65
    assert "older than what was sent" in refused.stderr
    assert set(count_received(world).values()) == {1}
