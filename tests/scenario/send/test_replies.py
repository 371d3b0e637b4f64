"""The answers of SES, and what happens to the message and to the run."""

import polars as pl
import pytest
from support.invariants import check_invariants
from support.world import World

from engine.ledger.journal import Outcome

PERHAPS_ACCEPTED = [
    "internal_error_after",
    "bad_gateway_after",
    "unavailable_after",
    "gateway_timeout_after",
    "drop_after",
    "reset_after",
    "cut_200",
    "empty_200",
    "html_200",
]


@pytest.mark.parametrize("fault", PERHAPS_ACCEPTED)
def test_unclear_answer_is_in_doubt_and_never_sent_again(world: World, fault: str):
    world.write_people(60)
    world.fault(fault, count=3, after=20)
    launched = world.launch()
    assert launched.code == 3
    assert check_invariants(world, in_doubt_at_most=3) == {Outcome.SENT: 57, Outcome.IN_DOUBT: 3}
    assert len(world.accepted()) == 60
    assert world.launch().code == 3  # finished with losses: a second launch sends nothing
    assert len(world.accepted()) == 60


@pytest.mark.parametrize("fault", ["internal_error", "bad_gateway", "unavailable", "gateway_timeout", "drop_before"])
def test_what_was_not_accepted_but_looks_the_same_is_in_doubt_as_well(world: World, fault: str):
    world.write_people(60)
    world.fault(fault, count=2, after=20)
    assert world.launch().code == 3
    assert check_invariants(world, in_doubt_at_most=2) == {Outcome.SENT: 58, Outcome.IN_DOUBT: 2}
    assert len(world.accepted()) == 58


def test_throttled_messages_are_all_sent_in_the_end(world: World):
    world.write_people(400)
    world.fault("throttle", count=40, probability=0.3)
    launched = world.launch()
    assert launched.code == 0
    assert check_invariants(world) == {Outcome.SENT: 400}
    attempts = pl.read_parquet(world.run_folder / "outcomes" / "lease-*.parquet")["attempts"]
    assert attempts.sum() == 400 + 40


def test_a_rate_limit_is_kept(world: World):
    world.change_sandbox(max_send_rate=150.0)
    world.write_people(400)
    assert world.launch().code == 0
    state = world.sandbox_state()
    assert check_invariants(world) == {Outcome.SENT: 400}
    assert state["throttled"] == 0
    assert state["largest_second"] <= 150 * 1.1 + 150  # I6, with the burst of one second that SES permits


@pytest.mark.parametrize(("fault", "word"), [("pause_account", "paused"), ("suspend_account", "suspended")])
def test_account_stopped_in_mid_run_pauses_the_run_and_marks_nobody(world: World, fault: str, word: str):
    world.write_people(500)
    world.fault(fault, after=200)
    launched = world.launch()
    assert launched.code == 75
    assert launched.json["state"] == "paused"
    assert word in launched.json["reason"]
    assert launched.json["sent"] == len(world.accepted()) == 200
    assert launched.json["unsent"] == 300
    check_invariants(world)
    refused = world.launch()
    assert refused.code == 69
    assert len(world.accepted()) == 200
    world.change_sandbox(sending_enabled=True, enforcement_status="HEALTHY")
    assert world.launch().code == 0
    assert check_invariants(world) == {Outcome.SENT: 500}


def test_run_pauses_at_the_end_of_the_24_hour_quota(world: World):
    world.change_sandbox(max_24_hour_send=120)
    world.write_people(300)
    launched = world.launch()
    assert launched.code == 75
    assert "24-hour quota" in launched.json["reason"]
    assert len(world.accepted()) == launched.json["sent"] == 120
    assert check_invariants(world) == {Outcome.SENT: 120, Outcome.UNSENT: 180}
    world.change_sandbox(max_24_hour_send=1000)
    assert world.launch().code == 0
    assert check_invariants(world) == {Outcome.SENT: 300}


def test_many_losses_pause_the_run_by_its_guard(world: World):
    world.write_people(2000)
    world.fault("reject", count=None, after=50)
    launched = world.launch()
    assert launched.code == 75
    assert "max_failure_rate" in launched.json["reason"]
    assert launched.json["refused"] < 200
    check_invariants(world)


def test_mailbox_simulator_addresses_are_sent_to_like_any_other(world: World):
    kinds = ("success", "bounce", "ooto")
    rows = [f"{kind}+{i}@simulator.amazonses.com,N\n" for i in range(3) for kind in kinds]
    world.write("audiences/people.csv", "email,first_name\n" + "".join(rows))
    assert world.launch().json["sent"] == 9
    assert {message["fate"] for message in world.accepted()} == {"delivered", "bounced", "out_of_office"}
