"""A bare account becomes one that may send: planned, carried out, sent from, and kept the second time."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.world import World, open_world


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path, identities=(), configuration_sets=()) as world:
        yield world


def test_account_is_set_up_by_one_command_and_sends(bare: World):
    planned = bare.run("ses", "setup", "acme.example")
    assert planned.code == 0, planned.stderr
    assert "3 to create, 0 to change, 0 as wanted" in planned.stdout
    assert "--apply" in planned.stdout
    before = bare.run("ses", "status", "--json").json
    assert (before["identities"], before["configuration_sets"]) == ([], [])

    done = bare.run("ses", "setup", "acme.example", "--apply", "--json")
    assert done.code == 0, done.stderr
    assert [step["action"] for step in done.json["steps"]] == ["create"] * 3
    assert len([one for one in done.json["records"] if one["type"] == "CNAME"]) == 3
    after = bare.run("ses", "status", "--json").json
    assert [one["name"] for one in after["identities"]] == ["acme.example"]
    assert after["configuration_sets"] == ["mailrun"]

    again = bare.run("ses", "setup", "acme.example", "--apply")
    assert "0 created, 0 changed, 3 as wanted" in again.stdout
    assert "mailrun ses verify acme.example" in again.stdout


def test_wanted_state_of_the_workspace_is_used_and_options_override_it(bare: World):
    bare.write(
        "mailrun.toml",
        '[ses]\ndomain = "acme.example"\nmail_from = "m"\nconfiguration_set = "news"\ntls = "require"\n',
    )
    done = bare.run("ses", "setup", "--apply", "--json", "--mail-from", "b", "--dkim-selector", "s1")
    assert done.code == 0, done.stderr
    assert [step["name"] for step in done.json["steps"]] == ["news", "acme.example", "b.acme.example"]
    (key,) = (bare.folder / ".mailrun" / "dkim").iterdir()
    assert (key.name, key.stat().st_mode & 0o777) == ("acme.example.s1.pem", 0o600)
    zone = bare.run("ses", "setup", "--zone", "--mail-from", "b", "--dkim-selector", "s1")
    assert "s1._domainkey.acme.example. 1800 IN TXT" in zone.stdout
    assert "b.acme.example. 1800 IN MX 10 feedback-smtp." in zone.stdout


def test_a_failure_half_way_is_explained_and_the_next_run_resumes(bare: World):
    bare.fault("deny_call", match="/mail-from")
    failed = bare.run("ses", "setup", "acme.example", "--apply")
    assert failed.code == 69
    assert "2 of 3 resources are as wanted; run it again to resume" in failed.stderr
    assert "ses:PutEmailIdentityMailFromAttributes" in failed.stderr
    resumed = bare.run("ses", "setup", "acme.example", "--apply")
    assert resumed.code == 0
    assert "1 created, 0 changed, 2 as wanted" in resumed.stdout


@pytest.mark.parametrize("events", ["sqs", "eventbridge", "firehose"])
def test_wanted_state_is_written_as_a_file_without_asking_the_account(bare: World, events: str):
    bare.fault("fail_call", count=None)
    template = bare.run("ses", "setup", "acme.example", "--events", events, "--inbound", "--as", "cloudformation")
    assert template.code == 0, template.stderr
    types = {part["Type"] for part in json.loads(template.stdout)["Resources"].values()}
    assert {"AWS::SES::EmailIdentity", "AWS::SES::ConfigurationSet", "AWS::SES::ReceiptRule"} <= types
    assert "AWS::SES::ConfigurationSetEventDestination" in types
    file = bare.run("ses", "setup", "acme.example", "--events", events, "--inbound", "--as", "terraform")
    kinds = set(json.loads(file.stdout)["resource"])
    assert {"aws_sesv2_email_identity", "aws_sesv2_configuration_set", "aws_ses_receipt_rule"} <= kinds
    assert "aws_sesv2_email_identity_mail_from_attributes" in kinds


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 64),
        (("acme",), 78),
        (("acme.example", "--mail-from", "acme.example"), 78),
        (("acme.example", "--zone", "--apply"), 64),
        (("acme.example", "--as", "terraform", "--apply"), 64),
        (("acme.example", "--as", "terraform", "--dkim-selector", "s1"), 78),
    ],
)
def test_a_wrong_command_line_changes_nothing(bare: World, arguments: tuple[str, ...], code: int):
    assert bare.run("ses", "setup", *arguments).code == code
    assert bare.run("ses", "status", "--json").json["identities"] == []
