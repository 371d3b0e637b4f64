"""`mailrun doctor`: what is in order and what is not, one line each, before anything is sent."""

import os
from pathlib import Path
from typing import Any

import pytest
from support.world import World

from engine.account.permission_probe import TriedPermission
from engine.cli.commands.doctor import judge_clock, judge_permissions


def by_part(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {finding["part"]: finding for finding in told["findings"]}


def test_doctor_has_a_line_for_every_part_of_a_valid_workspace(world: World) -> None:
    (world.folder / ".mailrun").mkdir(mode=0o700, exist_ok=True)
    told = world.run("doctor")
    assert told.code == 0, told.stdout
    parts = ("versions", "workspace", "temporary files", "open files", "store", "ledger", "unsubscribe keys")
    assert all(f"ok       {part}" in told.stdout for part in parts)
    assert "none yet; the first launch creates the store's own" in told.stdout
    assert world.accepted() == []


def test_the_keys_of_unsubscribe_links_have_a_line(world: World) -> None:
    key = world.folder / ".mailrun/unsubscribe.key"
    key.parent.mkdir(mode=0o700, exist_ok=True)
    key.write_text("s" * 40)
    world.settings["MAILRUN_UNSUBSCRIBE_KEYS"] = "k" * 40
    told = world.run("doctor", "--json")
    assert told.code == 0
    text = by_part(told.json)["unsubscribe keys"]["text"]
    assert text.startswith("1 in the settings, the first signs; the store's own (")
    assert text.endswith("still verifies")
    assert "k" * 40 not in told.stdout + told.stderr
    assert "s" * 40 not in told.stdout + told.stderr
    key.write_text("short")
    told = world.run("doctor", "--json")
    assert told.code == 78
    damaged = by_part(told.json)["unsubscribe keys"]
    assert (damaged["health"], "restore it from a backup" in damaged["remedy"]) == ("error", True)


def test_doctor_exits_with_78_and_shows_the_other_parts(world: World, tmp_path: Path) -> None:
    file = tmp_path / "a-file"
    file.write_text("")
    told = world.run("doctor", "--json", "--store", str(file))
    assert told.code == 78
    parts = by_part(told.json)
    assert parts["store and ledger"]["health"] == "error"
    assert parts["temporary files"]["health"] == "ok"


def test_other_writers_are_a_warning_with_the_command_that_puts_it_right(world: World) -> None:
    store = world.folder / ".mailrun"
    store.mkdir(mode=0o700, exist_ok=True)
    os.chmod(store, 0o777)  # noqa: S103, PTH101 - what the warning is about
    told = world.run("doctor", "--json")
    assert told.code == 0
    warned = by_part(told.json)["other writers"]
    assert (warned["health"], "chmod o-w" in warned["remedy"]) == ("warning", True)


def test_doctor_shows_how_ses_is_reached(world: World) -> None:
    told = world.run("doctor", "--json")
    parts = by_part(told.json)
    assert (told.code, parts["SES"]["health"], parts["clock"]["health"]) == (0, "ok", "ok")
    assert parts["region"]["text"] == f"{world.server.region}, {world.server.url}"
    assert parts["credentials"]["text"] == f"{world.server.access_key_id[:4]}…, from env"
    assert world.server.secret_access_key not in told.stdout + told.stderr


def test_doctor_tries_the_permissions_that_reading_tells(world: World) -> None:
    text = (world.campaign / "campaign.toml").read_text()
    world.write("campaigns/hello/campaign.toml", f'{text}\n[delivery]\nconfiguration_set = "marketing"\n')
    (world.folder / "campaigns/damaged").mkdir()
    world.write("campaigns/damaged/campaign.toml", "from = 7\n")
    world.settings |= {"MAILRUN_EVENTS_QUEUE": world.server.queue_url, "AWS_ENDPOINT_URL_SQS": world.server.url}
    found = by_part(world.run("doctor", "--json").json)["permissions"]
    name = world.server.queue_url.rpartition("/")[2]
    tried = ("ses:GetEmailIdentity on acme.example", "ses:GetConfigurationSet on marketing")
    assert (found["health"], found["remedy"]) == ("ok", None)
    assert all(one in found["text"] for one in (*tried, f"sqs:GetQueueAttributes on {name}"))
    assert "not tried, because that would send or take messages: ses:SendEmail" in found["text"]


def test_refused_permission_is_a_warning_with_its_line_of_a_policy() -> None:
    line = 'add this line to the policy of your user or role: {"Effect": …}'
    refused = TriedPermission("ses:GetEmailIdentity", "acme.example", is_permitted=False, remedy=line)
    unknown = TriedPermission("sqs:GetQueueAttributes", "events", is_permitted=None)
    warned, rest = judge_permissions([refused, unknown])
    assert (warned.health, warned.remedy) == ("warning", line)
    assert warned.text == "ses:GetEmailIdentity on acme.example is refused"
    assert "AWS does not tell: sqs:GetQueueAttributes on events" in rest.text


def test_missing_credentials_are_a_warning_because_the_sandbox_needs_none(world: World) -> None:
    told = world.run("doctor", "--json", AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    assert (told.code, by_part(told.json)["credentials"]["health"]) == (0, "warning")
    told = world.run("doctor", "--json", AWS_DEFAULT_REGION=None)
    assert (told.code, by_part(told.json)["SES"]["health"]) == (0, "warning")


def test_ses_that_refuses_or_does_not_answer_exits_with_69(world: World) -> None:
    refused = world.run("doctor", "--json", AWS_SECRET_ACCESS_KEY="wrong")
    assert (refused.code, by_part(refused.json)["SES"]["health"]) == (69, "error")
    assert by_part(refused.json)["clock"]["health"] == "ok"  # a refusal tells the time, too
    away = world.run("doctor", "--json", AWS_ENDPOINT_URL_SESV2="http://127.0.0.1:9")
    assert (away.code, "does not answer" in by_part(away.json)["SES"]["text"]) == (69, True)
    assert "clock" not in by_part(away.json)


@pytest.mark.parametrize(
    ("skew", "health", "words"),
    [
        (0.0, "ok", "within 10 s"),
        (-10.0, "ok", "within 10 s"),
        (11.0, "warning", "11 s ahead of SES's clock"),
        (-299.0, "warning", "299 s behind"),
        (300.0, "error", "SES refuses calls from 300 s on"),
        (-4000.0, "error", "4,000 s behind"),
    ],
)
def test_clock_is_judged_by_the_limit_of_signatures(skew: float, health: str, words: str) -> None:
    found = judge_clock(skew)
    assert (found.health, words in found.text) == (health, True)
