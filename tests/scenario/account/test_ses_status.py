"""`mailrun ses status` shows what the account has, and which command comes next."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.ses import open_ses
from support.world import World, open_world

from engine.account.overview import MOST_DETAILED


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path, identities=(), configuration_sets=()) as world:
        yield world


def test_bare_account_is_shown_and_the_set_up_suggested(bare: World):
    shown = bare.run("ses", "status")
    assert shown.code == 0
    assert "0 identities" in shown.stdout
    assert "next: mailrun ses setup DOMAIN" in shown.stdout.replace("python -m engine", "mailrun")


def test_identity_is_shown_with_its_dkim_mail_from_and_set(bare: World):
    assert bare.run("ses", "setup", "acme.example", "--apply").code == 0
    bare._control("PATCH", "/_sandbox/identities", {"identity": "acme.example", "mail_from_status": "PENDING"})
    (identity,) = bare.run("ses", "status", "--json").json["identities"]
    assert identity["details"] == {
        "dkim": "SUCCESS",
        "mail_from": "bounce.acme.example",
        "mail_from_status": "PENDING",
        "configuration_set": "mailrun",
    }
    shown = bare.run("ses", "status").stdout
    assert "acme.example: SUCCESS; DKIM SUCCESS; MAIL FROM bounce.acme.example PENDING" in shown
    assert "ses verify acme.example" in shown


def test_details_are_read_of_the_first_identities_only(bare: World):
    with open_ses(bare.server) as ses:
        for number in range(MOST_DETAILED + 2):
            ses.create_email_identity(EmailIdentity=f"a{number:02}.example")
    identities = bare.run("ses", "status", "--json").json["identities"]
    assert [one["details"] is not None for one in identities] == [True] * MOST_DETAILED + [False] * 2
    assert f"first {MOST_DETAILED} only" in bare.run("ses", "status").stdout


def test_identity_that_may_not_be_read_is_shown_without_details(bare: World):
    assert bare.run("ses", "setup", "acme.example", "--apply").code == 0
    bare.fault("deny_call", match="/v2/email/identities/acme.example", count=None)
    shown = bare.run("ses", "status")
    assert (shown.code, "  acme.example: SUCCESS\n" in shown.stdout) == (0, True)
