"""A run through several regions pauses when the rates of one of their accounts, as SES computes them, reach a limit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.control import call
from support.invariants import check_invariants
from support.world import CAMPAIGN, RUN, World, finish, open_world

from engine.ledger.journal import Outcome

IRELAND, FRANKFURT = "eu-west-1", "eu-central-1"
EVERY = "engine.run.guard.ses_rates.EVERY_SECONDS"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path, max_send_rate=100.0) as opened:
        opened.write("campaigns/hello/campaign.toml", f'{CAMPAIGN}[delivery]\nregions = ["{IRELAND}", "{FRANKFURT}"]\n')
        opened.settings["AWS_ENDPOINT_URL_CLOUDWATCH"] = opened.server.url
        yield opened


def change(world: World, region: str, **state: Any) -> None:
    status, answer = call(world.server, "PATCH", f"/_sandbox/state?region={region}", state)
    assert status == 200, answer


def list_acknowledged(world: World) -> list[Any]:
    decisions = world.run("status", RUN, "--json").json["decisions"]
    return [one["ses_rates"] for one in decisions if one["what"] == "pause"]


def test_rate_of_one_region_pauses_the_run_before_its_first_message(world: World):
    world.write_people(50)
    change(world, FRANKFURT, complaint_rate=0.002)
    paused = world.launch()
    assert (paused.code, paused.json["state"], paused.json["paused_by"]) == (75, "paused", "guard")
    assert f"{FRANKFURT}: the account's complaint rate as SES computes it is 0.20%" in paused.json["reason"]
    assert f"AWS_DEFAULT_REGION={FRANKFURT} mailrun ses reputation" in paused.json["reason"]
    assert IRELAND not in paused.json["reason"]
    assert world.accepted_count() == 0
    assert list_acknowledged(world) == [{f"{FRANKFURT} complaint": 0.002}]
    world.run("resume", RUN)
    assert world.launch().code == 0
    assert check_invariants(world) == {Outcome.SENT: 50}


def test_resume_for_one_region_acknowledges_nothing_of_another(world: World):
    world.write_people(50)
    change(world, FRANKFURT, complaint_rate=0.002)
    assert world.launch().code == 75
    world.run("resume", RUN)
    change(world, IRELAND, complaint_rate=0.002)
    paused = world.launch()
    assert paused.code == 75
    assert f"{IRELAND}: the account's complaint rate" in paused.json["reason"]
    world.run("resume", RUN)
    assert world.launch().code == 0


def test_rate_of_a_region_that_rises_while_the_run_sends_pauses_all(world: World):
    world.constants[EVERY] = 0.5
    world.write_people(2_000)
    process = world.start_launch()
    world.wait_for_accepted(100, process)
    change(world, IRELAND, bounce_rate=0.07)
    paused = finish(process)
    assert (paused.code, paused.json["paused_by"]) == (75, "guard")
    assert f"{IRELAND}: the account's bounce rate as SES computes it is 7.00%" in paused.json["reason"]
    assert 100 <= paused.json["sent"] < 2_000
    assert check_invariants(world)[Outcome.SENT] == paused.json["sent"]


def test_rates_of_a_region_that_is_left_out_count_for_nothing(world: World):
    world.write_people(50)
    change(world, FRANKFURT, bounce_rate=0.5, sending_enabled=False)
    finished = world.launch()
    assert finished.code == 0, finished.stderr
    assert check_invariants(world) == {Outcome.SENT: 50}
