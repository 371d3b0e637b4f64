"""The canary goes out first; its events, or a person, decide whether the rest follows."""

import signal
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.invariants import check_invariants
from support.pulled import add_to_campaign, list_turns, open_feedback_world, pulling
from support.world import RUN, Finished, World, finish, wait_until

from engine.ledger.journal import Outcome

PEOPLE = 300
MOST_LAUNCHES = 10


def prepare(world: World, *, recipients: int = 100, wait: str = "1s") -> None:
    world.write_people(PEOPLE)
    add_to_campaign(world, f'\n[canary]\nrecipients = {recipients}\nwait = "{wait}"\n')


def read_canary(world: World) -> dict[str, Any]:
    canary: dict[str, Any] = world.run("status", RUN, "--json").json["canary"]
    return canary


def list_decisions(world: World) -> dict[str, datetime]:
    told = world.run("status", RUN, "--json").json["decisions"]
    return {decision["what"]: datetime.fromisoformat(decision["at"]) for decision in told}


def check_that_only_the_first_were_mailed(world: World, recipients: int) -> None:
    mailed = {int(message["tags"]["mailrun-row"]) for message in world.accepted()}
    assert mailed == {row for row, _ in list_turns(world)[:recipients]}


def launch_until_judged(world: World) -> Finished:
    """Launch; launch again as the pause suggests if the events of the canary arrive after its wait."""
    for _ in range(MOST_LAUNCHES):
        launched = world.launch()
        if not str(launched.json["reason"]).startswith("Canary: events arrived for "):
            break
    return launched


def check_that_the_rest_waited(world: World, recipients: int) -> None:
    """The canary was accepted first, and no other recipient before it was found good, after its wait."""
    rows = [int(message["tags"]["mailrun-row"]) for message in world.accepted()]
    assert set(rows[:recipients]) == {row for row, _ in list_turns(world)[:recipients]}
    decisions = list_decisions(world)
    assert decisions["canary passed"] - decisions["canary sent"] >= timedelta(seconds=5)
    assert datetime.fromisoformat(world.accepted()[recipients]["at"]) >= decisions["canary passed"]


def test_remaining_recipients_follow_when_the_events_are_good(tmp_path: Path, ledger_url: str):
    with open_feedback_world(tmp_path, {}, ledger=ledger_url) as world:
        prepare(world, wait="5s")
        with pulling(world):
            launched = launch_until_judged(world)
        assert (launched.code, launched.json["sent"]) == (0, PEOPLE)
        assert list(list_decisions(world)) == ["canary sent", "canary passed"]
        canary = read_canary(world)
        assert (canary["stage"], canary["opened_by"], canary["recipients"]) == ("open", "mailrun", 100)
        assert "canary: the first 100 are sent, and the rest was released" in world.run("status", RUN).stdout
        check_that_the_rest_waited(world, 100)
        assert check_invariants(world) == {Outcome.SENT: PEOPLE}


def test_without_events_the_run_pauses_and_a_person_opens_the_gate(tmp_path: Path):
    with open_feedback_world(tmp_path, {}) as world:
        prepare(world)
        paused = world.launch()
        assert (paused.code, paused.json["state"], paused.json["paused_by"]) == (75, "paused", None)
        assert paused.json["reason"] == (
            "Canary: events arrived for 0 of 100 recipients; 50 are needed."
            " Run mailrun events pull, then launch again; or send the rest with --approve."
        )
        check_that_only_the_first_were_mailed(world, 100)
        assert world.launch().json["sent"] == 100  # still nothing is known
        approved = world.launch("--approve")
        assert (approved.code, approved.json["sent"]) == (0, PEOPLE)
        told = world.run("status", RUN, "--json").json
        (decision,) = [decision for decision in told["decisions"] if decision["what"] == "approve"]
        assert "@" in decision["who"]
        assert told["canary"]["opened_by"] == decision["who"]
        check_invariants(world)


def test_run_paused_for_missing_events_resumes_when_they_arrive(tmp_path: Path):
    with open_feedback_world(tmp_path, {}) as world:
        prepare(world)
        assert world.launch().code == 75
        world.run("events", "pull", "--queue", world.server.queue_url)
        launched = world.launch()
        assert (launched.code, launched.json["sent"]) == (0, PEOPLE)
        assert list(list_decisions(world)) == ["canary sent", "canary passed"]


def test_the_gate_is_stricter_than_the_guard(tmp_path: Path):
    behaviour = {"seed": 3, "default": {"bounces": {"Permanent/General": 0.1}}}
    with open_feedback_world(tmp_path, behaviour) as world:
        prepare(world, wait="4s")
        with pulling(world):
            paused = launch_until_judged(world)
        assert paused.code == 75
        assert paused.json["reason"].startswith("Canary: "), paused.json["reason"]
        assert "and [guard] max_bounce_rate is 5.00%" in paused.json["reason"]
        check_that_only_the_first_were_mailed(world, 100)
        assert world.launch().json["sent"] == 100


def test_several_workers_that_are_stopped_and_killed_keep_to_the_canary(tmp_path: Path, ledger_url: str):
    with open_feedback_world(tmp_path, {}, ledger=ledger_url, max_send_rate=60.0) as world:
        prepare(world, recipients=120, wait="1h")
        killed = world.start_launch("--workers", "2")
        world.wait_for_accepted(30, killed)
        killed.kill()
        killed.communicate()
        stopped = world.start_launch("--workers", "2")
        world.wait_for_accepted(60, stopped)
        stopped.send_signal(signal.SIGTERM)
        assert finish(stopped).code == 75
        waiting = world.start_launch()
        wait_until(lambda: read_canary(world)["stage"] == "waiting")
        assert world.run("status", RUN, "--json").json["state"] == "sending"
        waiting.send_signal(signal.SIGTERM)  # as a cron job's end
        assert finish(waiting).code == 75
        first = {row for row, _ in list_turns(world)[:120]}
        mailed = {int(message["tags"]["mailrun-row"]) for message in world.accepted()}
        told = world.run("status", RUN, "--json").json
        assert mailed <= first
        assert len(mailed) + told["in_doubt"] >= 120
        check_invariants(world, in_doubt_at_most=120)
        world.change_sandbox(max_send_rate=10_000)
        assert world.launch("--approve").json["unsent"] == 0
        check_invariants(world, in_doubt_at_most=120)


@pytest.mark.parametrize("text", ['wait = "soon"', "recipients = 0"])
def test_invalid_canary_is_refused(world: World, text: str):
    world.write_people(3)
    add_to_campaign(world, f"\n[canary]\n{text}\n")
    assert world.launch().code == 78


def test_approve_is_refused_without_a_canary(world: World):
    world.write_people(3)
    assert world.launch("--approve").code == 64
    world.launch()
    assert world.launch("--approve").code == 64  # it is finished, and has no canary
