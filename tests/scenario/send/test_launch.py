"""The main job: a campaign runs end to end."""

import polars as pl
from support.invariants import check_invariants
from support.world import RUN, World

from engine.ledger.journal import Outcome

KEYS = {
    "run", "state", "reason", "rows_read", "accepted", "excluded", "sent", "refused", "failed", "in_doubt", "unsent",
    "balanced", "started_at", "finished_at", "store",
}  # fmt: skip
FEEDBACK_KEYS = [
    "delivered", "bounced", "soft_bounced", "provider_suppressed", "complained", "opened", "clicked", "delayed",
    "unsubscribed", "rejected", "opened_by_people", "clicked_by_people",
]  # fmt: skip


def test_each_accepted_recipient_is_sent_to_once_and_accounts_balance(world: World):
    world.write("audiences/people.csv", "email,first_name\nann@example.com,Ann\nbroken,B\nann@example.com,A\n")
    launched = world.launch()
    assert launched.code == 0
    assert set(launched.json) >= KEYS
    assert launched.json | {"started_at": "", "finished_at": ""} == {
        "run": RUN,
        "state": "finished",
        "reason": None,
        "paused_by": None,
        "rows_read": 3,
        "accepted": 1,
        "excluded": {"invalid_address": 1, "duplicate": 1},
        "sent": 1,
        "refused": 0,
        "failed": 0,
        "in_doubt": 0,
        "unsent": 0,
        "in_flight": 0,
        "workers": 0,
        **dict.fromkeys(FEEDBACK_KEYS, 0),
        "balanced": True,
        "started_at": "",
        "finished_at": "",
        "store": str(world.run_folder),
    }
    (message,) = world.accepted()
    assert message["to"] == ["ann@example.com"]
    assert message["from"] == "Acme <news@acme.example>"
    assert message["subject"] == "Hello Ann"
    assert message["text"] == "Dear Ann, how are you?\n"
    assert check_invariants(world) == {Outcome.SENT: 1}


def test_outcome_files_carry_the_message_ids_that_ses_gave(world: World):
    world.write_people(600)
    assert world.launch().code == 0
    outcomes = pl.read_parquet(world.run_folder / "outcomes" / "lease-*.parquet")
    assert outcomes.height == 600
    assert outcomes["attempts"].unique().to_list() == [1]
    assert set(outcomes["message_id"]) == {message["message_id"] for message in world.accepted()}
    assert check_invariants(world) == {Outcome.SENT: 600}


def test_launching_a_finished_key_again_sends_nothing_and_says_so(world: World):
    world.write_people(3)
    assert world.launch().code == 0
    again = world.run("launch", "hello", "--key", "test")
    assert again.code == 0
    assert "was already finished: nothing was sent now" in again.stdout
    assert len(world.accepted()) == 3


def test_launching_a_finished_key_with_losses_again_exits_with_losses(world: World):
    """A pod that is started again must not turn losses into success."""
    world.write_people(3)
    world.fault("reject", match="person1@")
    assert [world.launch().code, world.launch().code, world.run("work", RUN, "--json").code] == [3, 3, 3]
    assert world.run("status", RUN).code == 0  # it has received a call and answered
    assert check_invariants(world) == {Outcome.SENT: 2, Outcome.REFUSED: 1}


def test_another_key_is_another_run(world: World):
    world.write_people(2)
    assert world.launch().code == 0
    assert world.run("launch", "hello", "--key", "other").code == 0
    assert len(world.accepted()) == 4
    assert check_invariants(world) == check_invariants(world, "hello/other") == {Outcome.SENT: 2}


def test_a_limit_keeps_so_many_and_holds_out_the_others(world: World):
    world.write_people(50)
    launched = world.launch("--limit", "7")
    assert launched.json["excluded"] == {"held_out": 43}
    assert launched.json["sent"] == len(world.accepted()) == 7


def test_another_audience_can_be_named_for_one_launch(world: World):
    world.write_people(5)
    world.write("audiences/two.csv", "email,first_name\na@example.com,A\nb@example.com,B\n")
    assert world.launch("--audience", "audiences/two.csv").json["sent"] == 2


def test_refused_recipient_is_refused_alone_and_sets_the_exit_code(world: World):
    world.write_people(40)
    world.fault("reject", match="person7@")
    launched = world.launch()
    assert launched.code == 3
    assert (launched.json["sent"], launched.json["refused"]) == (39, 1)
    outcomes = pl.read_parquet(world.run_folder / "outcomes" / "lease-*.parquet")
    refused = outcomes.filter(pl.col("outcome") == "refused")
    assert refused["address"].to_list() == ["person7@example.com"]
    assert "MessageRejected" in refused["error"].item()
    check_invariants(world)


def test_a_message_that_cannot_be_rendered_fails_alone_with_its_reason(world: World):
    world.write("audiences/people.csv", "email,first_name\na@example.com,Ann\nb@example.com,\nc@example.com,Cy\n")
    launched = world.launch()
    assert launched.code == 3
    assert (launched.json["sent"], launched.json["failed"]) == (2, 1)
    outcomes = pl.read_parquet(world.run_folder / "outcomes" / "lease-*.parquet")
    assert "first_name" in outcomes.filter(pl.col("outcome") == "failed")["error"].item()
    check_invariants(world)


def test_frozen_run_is_sent_as_it_was_when_the_campaign_changes(world: World):
    world.write_people(30)
    world.fault("pause_account", after=10)
    assert world.launch().code == 75
    world.change_sandbox(sending_enabled=True)
    world.write("campaigns/hello/body.txt.j2", "Something else, {{ first_name }}\n")
    world.write_people(3000)
    resumed = world.launch()
    assert resumed.code == 0
    assert "This run sends the campaign as launched. Changed since: " in resumed.stderr
    assert {message["text"].partition(" ")[0] for message in world.accepted()} == {"Dear"}
    assert check_invariants(world) == {Outcome.SENT: 30}
