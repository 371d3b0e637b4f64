"""One run through several regions of SES: each with its own rate, quota and pauses."""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.control import call
from support.invariants import check_invariants
from support.ses import open_ses
from support.soak import choose
from support.world import CAMPAIGN, World, finish, open_world

from engine.ledger.journal import Outcome

IRELAND, FRANKFURT = "eu-west-1", "eu-central-1"
REGIONS = f'[delivery]\nregions = ["{IRELAND}", "{FRANKFURT}"]\n'


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path, max_send_rate=100.0) as opened:
        opened.write("campaigns/hello/campaign.toml", CAMPAIGN + REGIONS)
        yield opened


def change(world: World, region: str, **state: Any) -> None:
    status, answer = call(world.server, "PATCH", f"/_sandbox/state?region={region}", state)
    assert status == 200, answer


def count_by_region(world: World) -> Counter[str]:
    """Count what each region accepted, by the receiving side's own record."""
    return Counter(message["region"] for message in world.accepted())


def find_rate(world: World, region: str | None = None) -> float:
    """Return the recipients a second, of one region or of all, between the first message and the last."""
    times = [
        datetime.fromisoformat(message["at"]) for message in world.accepted() if region in (None, message["region"])
    ]
    return len(times) / (max(times) - min(times)).total_seconds()


def test_each_region_sends_at_its_own_rate(world: World):
    world.write_people(2_400)
    change(world, FRANKFURT, max_send_rate=50)
    assert world.launch().code == 0
    assert check_invariants(world) == {Outcome.SENT: 2_400}
    sent = count_by_region(world)
    assert sent[IRELAND] > 1.2 * sent[FRANKFURT] > 0
    assert find_rate(world, IRELAND) <= 110
    assert find_rate(world, FRANKFURT) <= 55


def test_others_finish_the_run_when_a_region_is_paused(world: World):
    world.write_people(2_000)
    process = world.start_launch()
    world.wait_for_accepted(300, process)
    change(world, FRANKFURT, sending_enabled=False)
    launched = finish(process)
    assert launched.code == 0, launched.stderr
    assert check_invariants(world) == {Outcome.SENT: 2_000}
    assert f"{FRANKFURT}: " in launched.stderr
    sent = count_by_region(world)
    assert sent[IRELAND] > sent[FRANKFURT] > 0


@pytest.mark.parametrize("state", [{"sending_enabled": False}, {"reachable": False}], ids=["paused", "unreachable"])
def test_region_that_cannot_send_at_the_launch_is_left_out(world: World, state: dict[str, Any]):
    world.write_people(300)
    change(world, IRELAND, **state)
    launched = world.launch()
    assert launched.code == 0, launched.stderr
    assert check_invariants(world) == {Outcome.SENT: 300}
    assert "region.left_out" in launched.stderr
    assert count_by_region(world) == {FRANKFURT: 300}


def test_run_pauses_when_no_region_can_send_and_resumes(world: World):
    world.write_people(1_500)
    process = world.start_launch()
    world.wait_for_accepted(200, process)
    world.change_sandbox(sending_enabled=False)
    launched = finish(process)
    assert launched.code == 75, launched.stderr
    assert launched.json["state"] == "paused"
    assert f"{FRANKFURT}: " in launched.json["reason"]
    assert f"{IRELAND}: " in launched.json["reason"]
    refused = world.launch()
    assert refused.code == 69
    assert "no region can be sent through" in refused.stderr
    world.change_sandbox(sending_enabled=True, max_send_rate=1_000)
    assert world.launch().code == 0
    assert check_invariants(world) == {Outcome.SENT: 1_500}


@pytest.mark.parametrize("at_quota", ["pause", "wait"])
def test_region_whose_quota_is_used_up_leaves_the_rest_to_the_others(world: World, at_quota: str):
    world.write("campaigns/hello/campaign.toml", f'{CAMPAIGN}{REGIONS}at_quota = "{at_quota}"\n')
    world.write_people(1_000)
    change(world, FRANKFURT, max_24_hour_send=100)
    launched = world.launch()
    assert launched.code == 0, launched.stderr
    assert check_invariants(world) == {Outcome.SENT: 1_000}
    assert count_by_region(world) == {FRANKFURT: 100, IRELAND: 900}


def test_limit_of_the_campaign_holds_for_all_regions_together(world: World):
    world.write("campaigns/hello/campaign.toml", f"{CAMPAIGN}{REGIONS}max_rate = 60\n")
    world.write_people(500)
    assert world.launch().code == 0
    assert check_invariants(world) == {Outcome.SENT: 500}
    assert find_rate(world) <= 66
    assert len(count_by_region(world)) == 2


def test_answers_lost_in_one_region_stay_in_doubt(world: World):
    world.write_people(1_000)
    world.fault("drop_after", after=50, count=5)
    launched = world.launch()
    assert launched.code == 3, launched.stderr
    assert check_invariants(world, in_doubt_at_most=5)[Outcome.IN_DOUBT] == 5
    outcomes = json.loads(world.run("resolve", "hello/test", "--json").stdout)
    assert outcomes["in_doubt"] == 5
    held = pl.read_parquet(world.run_folder / "outcomes" / "lease-*.parquet").filter(pl.col("outcome") == "in_doubt")
    regions = Counter(message["region"] for message in world.accepted() if message["to"][0] in set(held["address"]))
    assert Counter(error.partition(": ")[0] for error in held["error"]) == regions


@pytest.mark.parametrize("call_kind", choose("bulk", "single"))
def test_killed_run_resumes_and_nobody_gets_it_twice(world: World, call_kind: str):
    world.write("campaigns/hello/campaign.toml", f'{CAMPAIGN}{REGIONS}call = "{call_kind}"\n')
    world.write_people(1_500)
    process = world.start_launch("--workers", "2")
    world.wait_for_accepted(400, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    world.change_sandbox(max_send_rate=1_000)
    launched = world.launch()
    assert launched.code in (0, 3), launched.stderr
    counts = check_invariants(world, in_doubt_at_most=300)
    assert sum(counts.values()) == 1_500
    assert len(count_by_region(world)) == 2


def test_sender_that_is_not_verified_in_a_region_refuses_the_launch(tmp_path: Path):
    with open_world(tmp_path, identities=()) as world:
        world.write("campaigns/hello/campaign.toml", CAMPAIGN + REGIONS)
        world.write_people(10)

        with open_ses(replace(world.server, region=IRELAND)) as ses:
            ses.create_email_identity(EmailIdentity="acme.example")
        launched = world.launch()
        assert launched.code == 69
        assert f"{FRANKFURT}: the sender" in launched.stderr
        assert not world.accepted()


def test_launch_on_the_sandbox_uses_all_regions(world: World):
    world.write_people(2_000)
    assert world.launch("--sandbox").code == 0
    messages = (world.folder / ".mailrun" / "sandbox" / "accepted.jsonl").read_text().splitlines()
    assert Counter(json.loads(line)["region"] for line in messages).keys() == {IRELAND, FRANKFURT}


def test_status_shows_the_regions(world: World):
    world.write_people(3_000)
    process = world.start_launch()
    world.wait_for_accepted(900, process)
    change(world, FRANKFURT, sending_enabled=False)
    world.wait_for_accepted(1_900, process)
    document = world.run("status", "hello/test", "--json").json
    assert [vitals["region"] for vitals in document["vitals"]] == [IRELAND]
    assert FRANKFURT in document["vitals"][0]["regions_away"]
    shown = world.run("status", "hello/test").stdout
    assert f"worker in {IRELAND}: " in shown
    assert f"{FRANKFURT}: " in shown
    assert finish(process).code == 0
