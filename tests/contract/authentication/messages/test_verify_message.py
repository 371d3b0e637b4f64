"""`mailrun ses verify --message`, from outside, with a real name server."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.commands import run_command
from support.dns import NO_REPLY, Zone, serve_dns
from support.signed_mails import LETTER, SES_FIELDS, make_ses_mail, make_zone, sign

RAW = LETTER.replace("\n", "\r\n").encode()


def verify(folder: Path, raw: bytes, zone: Zone, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "received.eml").write_bytes(raw)
    with serve_dns(zone) as server:
        environment = {**os.environ, "MAILRUN_DNS_NAMESERVERS": server}
        return run_command(["ses", "verify", "--message", "received.eml", *options], folder, environment)


def read_json(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document


def test_message_of_ses_is_ready(tmp_path: Path) -> None:
    done = verify(tmp_path, make_ses_mail(), Zone(make_zone()), "--json")
    document = read_json(done)
    assert (done.returncode, document["ready"], document["from_domain"]) == (0, True, "acme.example")
    assert [(one["domain"], one["state"], one["aligned"]) for one in document["signatures"]] == [
        ("acme.example", "valid", True),
        ("amazonses.com", "valid", False),
    ]
    assert all(one["covers_one_click"] for one in document["signatures"])


@pytest.mark.parametrize(
    ("raw", "code", "shown"),
    [
        (sign(RAW, fields=SES_FIELDS), 69, "no valid signature covers both List-Unsubscribe and List-Unsubscribe-Post"),
        (sign(RAW.replace(b"Date: Tue, 24 Nov 2026", b"Date: some day")), 65, "Date is missing, not valid"),
        (b"not a message", 65, "is not a field"),
    ],
    ids=["unsigned-one-click", "date", "no-message"],
)
def test_failing_message_says_what_to_do(tmp_path: Path, raw: bytes, code: int, shown: str) -> None:
    done = verify(tmp_path, raw, Zone(make_zone()))
    assert (done.returncode, shown in done.stdout + done.stderr) == (code, True)


def test_silent_name_server_fails_nothing(tmp_path: Path) -> None:
    zone = Zone(make_zone())
    for name, _ in make_zone():
        zone.fail(name, NO_REPLY)
    done = verify(tmp_path, make_ses_mail(), zone)
    assert (done.returncode, "what is unknown proves nothing" in done.stdout) == (0, True)


def test_terminal_gets_no_control_characters_of_a_message(tmp_path: Path) -> None:
    hostile = b"\x1b[2J\xc2\x9b31m"
    raw = b"Authentication-Results: mx" + hostile + b"; spf=pass\r\nList-Id: <" + hostile + b">\r\n" + RAW
    raw = (
        b"DKIM-Signature: v=1; a=x" + hostile + b"; d=" + hostile + b"; s=" + hostile + b"; b=a; bh=b; h=from\r\n" + raw
    )
    for options in ((), ("--json",)):
        done = verify(tmp_path, raw, Zone(make_zone()), *options)
        assert not {"\x1b", "\x9b"} & set(done.stdout + done.stderr)
        assert done.returncode in (65, 69)
