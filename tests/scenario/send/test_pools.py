"""A campaign is sent from the pool of IP addresses that it expects, warms it up, and reports what each address sent."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.pulled import add_to_campaign, open_feedback_world
from support.ses import open_ses
from support.world import RUN, World

from engine.errors import ExitCode

ADDRESSES = ("198.51.100.21", "198.51.100.22")
PEOPLE = 40


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_feedback_world(tmp_path, {}, dedicated_addresses=ADDRESSES) as world:
        world.write_people(PEOPLE)
        add_to_campaign(world, '\n[delivery]\nconfiguration_set = "letters"\npool = "news"\n')
        yield world


@pytest.fixture
def ses(world: World) -> Iterator[Any]:
    """An account with a pool, and a configuration set that sends from it."""
    with open_ses(world.server) as client:
        client.create_configuration_set(ConfigurationSetName="letters", DeliveryOptions={"SendingPoolName": "news"})
        yield client


def change_pools(world: World, *arguments: str) -> None:
    changed = world.run("ses", "pools", *arguments)
    assert changed.code == ExitCode.FINISHED, changed.stderr


def list_pools(world: World) -> dict[str, Any]:
    return {pool["name"]: pool for pool in world.run("ses", "pools", "--json").json["pools"]}


@pytest.mark.usefixtures("ses")
def test_pool_is_filled_warmed_up_and_sent_from(world: World):
    change_pools(world, "create", "news")
    for address in ADDRESSES:
        change_pools(world, "move", address, "news")
    change_pools(world, "warmup", ADDRESSES[0], "40")
    assert list_pools(world)["news"] == {
        "name": "news",
        "kind": "standard",
        "addresses": [
            {"address": ADDRESSES[0], "status": "IN_PROGRESS", "percentage": 40, "own": False},
            {"address": ADDRESSES[1], "status": "DONE", "percentage": 100, "own": False},
        ],
        "configuration_sets": ["letters"],
    }

    checked = world.run("check", "hello", "--json")
    assert checked.code == ExitCode.FINISHED, checked.stderr
    proposed = checked.json["proposed_warmup"]["caps"]
    shown = world.run("check", "hello").stdout
    section = shown[shown.index("[warmup]") : shown.index("]\n", shown.index("caps")) + 1]
    assert tomllib.loads(section)["warmup"]["caps"] == proposed

    launched = world.launch()
    assert launched.code == ExitCode.FINISHED, launched.stderr
    assert "warming up" in launched.stderr
    left = {message["to"][0]: message["outgoing_ip"] for message in world.accepted()}
    assert set(left.values()) == set(ADDRESSES)

    world.run("events", "pull", "--queue", world.server.queue_url, "--json")
    shown = world.run("status", RUN, "--outgoing-addresses", "--json").json["outgoing_addresses"]
    assert [(one["address"], one["sent"], one["delivered"], one["bounced"]) for one in shown] == [
        (address, list(left.values()).count(address), list(left.values()).count(address), 0) for address in ADDRESSES
    ]
    assert world.run("status", RUN, "--json").json["outgoing_addresses"] is None
    assert ADDRESSES[0] in world.run("status", RUN, "--outgoing-addresses").stdout


@pytest.mark.parametrize("command", [("check", "hello", "--json"), ("launch", "hello", "--key", "test", "--json")])
@pytest.mark.usefixtures("ses")
def test_launch_and_check_refuse_a_pool_that_cannot_be_sent_from(world: World, command: tuple[str, ...]) -> None:
    missing = world.run(*command)
    assert missing.code == ExitCode.UNAVAILABLE
    assert "the pool news does not exist" in missing.stdout + missing.stderr
    change_pools(world, "create", "news")
    empty = world.run(*command)
    assert empty.code == ExitCode.UNAVAILABLE
    assert "the pool news has no IP address" in empty.stdout + empty.stderr
    assert world.accepted() == []


def test_launch_refuses_another_pool_and_sends_nothing(world: World, ses: Any):
    change_pools(world, "create", "other", "--managed")
    ses.put_configuration_set_delivery_options(ConfigurationSetName="letters", SendingPoolName="other")
    refused = world.launch()
    assert refused.code == ExitCode.UNAVAILABLE
    assert "expects the pool news, and its mail leaves from other (set letters)" in refused.stderr
    assert world.accepted() == []


@pytest.mark.usefixtures("ses")
def test_last_address_of_a_pool_in_use_moves_only_on_purpose(world: World):
    change_pools(world, "create", "news")
    change_pools(world, "create", "other")
    change_pools(world, "move", ADDRESSES[0], "news")
    refused = world.run("ses", "pools", "move", ADDRESSES[0], "other", "--json")
    assert refused.code == ExitCode.USAGE
    assert "the last address of news" in refused.stderr
    assert [one["address"] for one in list_pools(world)["news"]["addresses"]] == [ADDRESSES[0]]
    change_pools(world, "move", ADDRESSES[0], "other", "--yes")
    assert [one["address"] for one in list_pools(world)["other"]["addresses"]] == [ADDRESSES[0]]


def test_embedded_sandbox_has_no_pools_and_is_not_asked(world: World):
    launched = world.run("launch", "hello", "--key", "trial", "--sandbox", "--json", "--yes")
    assert launched.code == ExitCode.FINISHED, launched.stderr
    assert launched.json["sent"] == PEOPLE
