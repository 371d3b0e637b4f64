"""Pause, resume, cancel from another terminal; more workers; what has changed since the launch."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.doubt import AT_MOST_WHERE_LATE
from support.invariants import check_invariants
from support.world import RUN, World, finish, open_world, wait_for_line, wait_until

from engine.delivery.pacing.concurrency import MOST_WHERE_LATE
from engine.ledger.journal import Outcome


@pytest.fixture
def slow(tmp_path: Path, ledger_url: str) -> Iterator[World]:
    """A world in which a run takes its time, once with each kind of ledger."""
    with open_world(tmp_path, ledger=ledger_url, max_send_rate=200.0, latency_seconds=0.05) as world:
        world.write_people(800)
        yield world


def count_after(world: World, seconds: float) -> int:
    """Count what is accepted some time from now."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= until)
    return world.accepted_count()


def test_pause_and_resume_take_effect_in_a_running_launch(slow: World):
    """Within which time, the simulation tests: a busy machine has another clock."""
    launch = slow.start_launch()
    slow.wait_for_accepted(50, launch)
    paused = slow.run("pause", RUN, "--reason", "wrong price", "--json")
    assert (paused.code, paused.json["state"]) == (0, "paused")
    assert "wrong price" in paused.json["reason"]
    wait_for_line(launch, "run.paused")
    stands = slow.wait_for_silence(launch, 1.0)
    assert stands < 800
    assert count_after(slow, 1.0) == stands
    assert launch.poll() is None
    resumed = slow.run("resume", RUN, "--json")
    assert resumed.json["state"] == "sending"
    slow.wait_for_accepted(stands + 1, launch)
    assert finish(launch).code == 0
    assert check_invariants(slow) == {Outcome.SENT: 800}
    told = slow.run("status", RUN, "--json").json
    assert [(decision["what"], "@" in decision["who"]) for decision in told["decisions"]] == [
        ("pause", True),
        ("resume", True),
    ]


def test_restarted_pod_does_not_resume_a_run_that_a_person_paused(slow: World):
    launch = slow.start_launch()
    slow.wait_for_accepted(20, launch)
    slow.run("pause", RUN)
    launch.kill()
    launch.communicate()
    stands = slow.accepted_count()
    again = slow.start_launch()
    wait_for_line(again, "run.paused")
    assert slow.accepted_count() == stands
    assert slow.run("resume", RUN).code == 0
    assert finish(again).json["state"] == "finished"
    check_invariants(slow, in_doubt_at_most=MOST_WHERE_LATE)


def test_cancelled_run_ends_and_never_resumes(slow: World):
    launch = slow.start_launch()
    slow.wait_for_accepted(50, launch)
    cancelled = slow.run("cancel", RUN, "--reason", "called off", "--json")
    assert cancelled.json["state"] == "cancelled"
    ended = finish(launch)
    assert (ended.code, ended.json["state"]) == (3, "cancelled")
    counts = check_invariants(slow)
    assert counts[Outcome.UNSENT] > 0
    again = slow.launch()
    assert (again.code, again.json["state"], again.json["sent"]) == (3, "cancelled", counts[Outcome.SENT])
    assert slow.run("resume", RUN).code == 64
    assert check_invariants(slow) == counts


def test_a_finished_key_says_so_exits_0_and_takes_no_commands(world: World):
    world.write_people(5)
    assert world.launch().code == 0
    again = world.run("launch", "hello", "--key", "test")
    assert again.code == 0
    assert "was already finished: nothing was sent now" in again.stdout
    assert world.run("work", RUN, "--json").code == 0
    for command in ("pause", "resume", "cancel"):
        refused = world.run(command, RUN)
        assert refused.code == 64
        assert "is finished" in refused.stderr
    assert len(world.accepted()) == 5


def test_joining_workers_share_the_work_and_send_each_message_once(slow: World):
    launch = slow.start_launch()
    slow.wait_for_accepted(20, launch)
    slow.run("pause", RUN)
    workers = [slow.fork("work", RUN, "--json") for _ in range(2)]
    slow.wait_for_workers(3)
    assert slow.run("status", RUN, "--json").json["workers"] == 3
    slow.run("resume", RUN)
    ended = [finish(process) for process in (launch, *workers)]
    assert [process.code for process in ended] == [0, 0, 0]
    assert check_invariants(slow) == {Outcome.SENT: 800}


def test_a_worker_that_is_killed_is_replaced_by_the_others(slow: World):
    slow.constants = AT_MOST_WHERE_LATE
    slow.write_people(2400)  # the pause arrives in mid-run, however busy the machine is
    launch = slow.start_launch()
    slow.wait_for_accepted(20, launch)
    slow.run("pause", RUN)
    other = slow.fork("work", RUN, "--json")
    slow.wait_for_workers(2)
    slow.run("resume", RUN)
    slow.wait_for_accepted(slow.accepted_count() + 100, other)
    launch.kill()
    launch.communicate()
    ended = finish(other)
    assert ended.json["state"] == "finished"
    counts = check_invariants(slow, in_doubt_at_most=MOST_WHERE_LATE)
    assert counts[Outcome.SENT] + counts[Outcome.IN_DOUBT] == 2400


def test_status_says_what_has_changed_since_the_launch(world: World):
    world.write_people(5)
    world.write("audiences/suppressed.csv", "email\nnobody@example.com\n")
    toml = (world.campaign / "campaign.toml").read_text()
    world.write("campaigns/hello/campaign.toml", toml + '\n[suppression]\nfiles = ["audiences/suppressed.csv"]\n')
    assert world.launch().code == 0
    assert world.run("status", RUN, "--json").json["changes"] == []
    (world.folder / "audiences/people.csv").touch()
    assert world.run("status", RUN, "--json").json["changes"] == []
    world.write("campaigns/hello/body.txt.j2", "Dear {{ first_name }}, new words.\n")
    world.write("campaigns/hello/new.txt", "new")
    world.write_people(6)
    (world.folder / "audiences/suppressed.csv").unlink()
    changes = world.run("status", RUN, "--json").json["changes"]
    assert changes == [
        "campaigns/hello/body.txt.j2 was changed",
        "campaigns/hello/new.txt was added",
        "audiences/people.csv was changed",
        "audiences/suppressed.csv was removed",
    ]
    assert "changed since the launch, and not sent: audiences/people.csv" in world.run("status", RUN).stdout
