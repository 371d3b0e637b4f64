"""Addresses never mailed before are looked up once, within a budget, and paid for once."""

import polars as pl
import pytest
from support.invariants import check_invariants
from support.world import World

TOML = """\
from = "Acme <news@acme.example>"
subject = "Hello"
kind = "transactional"
[audience]
source = "audiences/people.csv"
[audience.checks]
insights = "{action}"
insights_budget = {budget}
[content]
text = "body.txt.j2"
"""
PEOPLE = ["bounce-1@example.com", "Ann@example.com", "bob@example.com", "bounce-2@example.com"]


def write(world: World, people: list[str], *, action: str = "exclude", budget: int = 100) -> None:
    world.write("campaigns/hello/campaign.toml", TOML.format(action=action, budget=budget))
    world.write("campaigns/hello/body.txt.j2", "Hello")
    world.write("audiences/people.csv", "email\n" + "".join(f"{address}\n" for address in people))


def test_insights_exclude_who_cannot_be_reached_and_are_paid_once(world: World) -> None:
    write(world, PEOPLE)
    planned = world.run("plan", "hello", "--json")
    assert planned.code == 0
    assert "SES looks up 4 addresses, at USD 0.01 each: USD 0.04, in about 1 minute" in planned.stderr
    assert (planned.json["accepted"], planned.json["excluded"]) == (2, {"invalid_address": 2})
    launched = world.run("launch", "hello", "--key", "test", "--json")
    assert launched.code == 0
    assert "looks up" not in launched.stderr
    assert launched.json["sent"] == 2
    assert sorted(one["to"][0] for one in world.accepted()) == ["Ann@example.com", "bob@example.com"]
    check_invariants(world)


def test_insights_are_not_asked_about_who_was_mailed(world: World) -> None:
    write(world, PEOPLE, action="warn", budget=1)
    (world.folder / "campaigns/before").mkdir()
    world.write(
        "campaigns/before/campaign.toml",
        TOML.partition("[audience.checks]")[0] + '[content]\ntext = "body.txt.j2"\n',
    )
    world.write("campaigns/before/body.txt.j2", "Hello")
    assert world.run("launch", "before").code == 0
    write(world, [*PEOPLE, "bounce-3@example.com"], action="exclude")
    planned = world.run("plan", "hello", "--json")
    assert "SES looks up 1 address," in planned.stderr
    assert planned.json["excluded"] == {"invalid_address": 1}


def test_insights_stay_within_their_budget(world: World) -> None:
    write(world, PEOPLE, action="warn", budget=3)
    first = world.run("plan", "hello", "--json")
    assert "SES looks up 3 addresses" in first.stderr
    assert first.json["accepted"] == 4
    assert any("1 new address without insights" in note for note in first.json["notes"])
    second = world.run("plan", "hello", "--json")
    assert "SES looks up 1 address," in second.stderr
    assert any("does not expect to reach 2 addresses" in note for note in second.json["notes"])


@pytest.mark.parametrize("command", ["preview", "check"])
def test_insights_cost_nothing_in_a_preview(world: World, command: str) -> None:
    write(world, PEOPLE)
    shown = world.run(command, "hello", "--json")
    assert "looks up" not in shown.stderr
    assert shown.json["accepted"] == 4
    assert not (world.folder / "store/insights").exists()


def test_insights_of_the_embedded_sandbox_need_no_account(world: World) -> None:
    write(world, PEOPLE)
    launched = world.run("launch", "hello", "--sandbox", "--json", AWS_ENDPOINT_URL_SESV2="http://127.0.0.1:9")
    assert launched.code == 0
    assert (launched.json["sent"], launched.json["excluded"]) == (2, {"invalid_address": 2})


def test_insights_that_were_paid_survive_a_refusal(world: World) -> None:
    """A service that cannot be reached stops the plan with what was answered kept."""
    write(world, PEOPLE)
    refused = world.run("plan", "hello", AWS_ENDPOINT_URL_SESV2="http://127.0.0.1:9")
    assert refused.code == 69
    assert "SES cannot be reached" in refused.stderr
    assert not list((world.folder / "store").rglob("recipients-*"))


def test_insights_are_forgotten_with_the_person(world: World) -> None:
    write(world, PEOPLE)
    assert world.run("plan", "hello").code == 0
    assert world.run("forget", "ann@example.com").code == 0
    kept = pl.concat([pl.read_parquet(path) for path in world.folder.rglob("insights/day=*/*.parquet")])
    assert sorted(kept["key"]) == ["bob@example.com", "bounce-1@example.com", "bounce-2@example.com"]


def test_insights_without_a_budget_are_refused(world: World) -> None:
    write(world, PEOPLE)
    toml = TOML.format(action="warn", budget=1)
    world.write("campaigns/hello/campaign.toml", toml.replace("insights_budget = 1", ""))
    refused = world.run("plan", "hello")
    assert refused.code == 78
    assert "sets insights without insights_budget" in refused.stderr
