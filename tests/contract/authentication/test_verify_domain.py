"""`mailrun ses verify DOMAIN`, from outside: the sandbox's SES, and a real name server."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.commands import run_command
from support.dns import NO_REPLY, SERVFAIL, Zone, serve_dns
from support.sending_domain import make_key, make_zone
from support.ses import open_ses

from engine.sandbox.embedded import EmbeddedSandbox, run_in_thread
from engine.sandbox.server import SandboxSettings


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[EmbeddedSandbox]:
    with run_in_thread(SandboxSettings(tmp_path / "record", identities=())) as running:
        yield running


def verify(
    folder: Path, zone: Zone, sandbox: EmbeddedSandbox | None, *arguments: str
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HTTP", "http"))}
    nothing = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
    }
    of_sandbox = {
        "AWS_ENDPOINT_URL": sandbox.url,
        "AWS_ACCESS_KEY_ID": sandbox.access_key_id,
        "AWS_SECRET_ACCESS_KEY": sandbox.secret_access_key,
        "AWS_DEFAULT_REGION": sandbox.region,
    } if sandbox else {}  # fmt: skip
    with serve_dns(zone) as server:
        environment = kept | nothing | of_sandbox | {"MAILRUN_DNS_NAMESERVERS": server}
        return run_command(["ses", "verify", *arguments], folder, environment)


def set_up(sandbox: EmbeddedSandbox, zone: Zone) -> list[str]:
    """Create the identity in the sandbox, publish its records, and return their names."""
    with open_ses(sandbox) as client:
        made = client.create_email_identity(EmailIdentity="acme.example")
        client.put_email_identity_mail_from_attributes(
            EmailIdentity="acme.example", MailFromDomain="bounce.acme.example"
        )
    dkim = made["DkimAttributes"]
    target = dkim.get("SigningHostedZone", "dkim.amazonses.com")
    for token in dkim["Tokens"]:
        zone.add(f"{token}._domainkey.acme.example", "CNAME", f"{token}.{target}")
        zone.add(f"{token}.{target}", "TXT", f"v=DKIM1; p={make_key()}")
    return [f"{token}._domainkey.acme.example" for token in dkim["Tokens"]]


def make_quiet_zone() -> Zone:
    """A zone without what is fetched from the web."""
    zone = make_zone()
    zone.replace("bounce.acme.example", "MX", "10 feedback-smtp.us-east-1.amazonses.com")
    for name in ("default._bimi.acme.example", "_mta-sts.acme.example"):
        zone.replace(name, "TXT")
    return zone


def list_verdicts(done: subprocess.CompletedProcess[str]) -> dict[str, set[str]]:
    document: dict[str, Any] = json.loads(done.stdout)
    found: dict[str, set[str]] = {}
    for one in document["results"]:
        found.setdefault(one["verdict"], set()).add(one["code"])
    return found


def test_verify_passes_a_domain_in_order(tmp_path: Path, sandbox: EmbeddedSandbox):
    zone = make_quiet_zone()
    set_up(sandbox, zone)
    done = verify(tmp_path, zone, sandbox, "acme.example", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert (document["ready"], document["asked_ses"], document["region"]) == (True, True, sandbox.region)
    assert document["mail_from"] == "bounce.acme.example"
    assert list_verdicts(done).keys() == {"pass", "advice"}
    assert list_verdicts(done)["advice"] == {"bimi_record", "mta_sts"}


def test_verify_names_the_record_that_is_wrong(tmp_path: Path, sandbox: EmbeddedSandbox):
    zone = make_quiet_zone()
    name = set_up(sandbox, zone)[1]
    zone.replace(name, "CNAME", "wrong.\x1b[31m.example")
    done = verify(tmp_path, zone, sandbox, "ACME.example.", "--from", "Acme <news@mail.acme.example>")
    assert done.returncode == 69
    assert name in done.stdout
    assert "rejected by: gmail, yahoo, microsoft" in done.stdout
    assert f"do: replace it with: {name} CNAME" in done.stdout
    assert "\x1b" not in done.stdout


def test_verify_finds_the_identity_above_a_subdomain(tmp_path: Path, sandbox: EmbeddedSandbox):
    zone = make_quiet_zone()
    set_up(sandbox, zone)
    zone.add("news.acme.example", "MX", "10 mail.acme.example")
    done = verify(tmp_path, zone, sandbox, "news.acme.example", "--json")
    assert done.returncode == 0, done.stdout
    assert (json.loads(done.stdout)["domain"], json.loads(done.stdout)["from_domain"]) == (
        "acme.example",
        "news.acme.example",
    )


def test_verify_fails_when_ses_has_no_such_identity(tmp_path: Path, sandbox: EmbeddedSandbox):
    done = verify(tmp_path, make_quiet_zone(), sandbox, "acme.example", "--json")
    assert done.returncode == 69
    assert list_verdicts(done)["fail"] == {"identity_status"}


@pytest.mark.parametrize("how", [SERVFAIL, NO_REPLY])
def test_verify_ends_with_0_when_dns_fails(tmp_path: Path, sandbox: EmbeddedSandbox, how: str):
    zone = make_quiet_zone()
    set_up(sandbox, zone)
    zone.fail("bounce.acme.example", how)
    done = verify(tmp_path, zone, sandbox, "acme.example")
    assert done.returncode == 0, done.stdout
    assert "2 unknown" in done.stdout
    assert "proves nothing" in done.stdout


def test_verify_checks_dns_alone_without_an_account(tmp_path: Path):
    (tmp_path / "mailrun.toml").write_text('[ses]\ndomain = "acme.example"\n')
    (tmp_path / "campaigns").mkdir()
    done = verify(tmp_path, make_quiet_zone(), None)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DNS alone" in done.stdout
    assert "dkim_record" in done.stdout
    assert "MAIL FROM is bounce.acme.example" in done.stdout


@pytest.mark.parametrize(
    "arguments", [("nothing",), ("a b.example",), ("acme.example", "--from", "news"), ("x" * 70 + ".example",), ()]
)
def test_verify_refuses_what_is_not_a_domain(tmp_path: Path, arguments: tuple[str, ...]):
    done = verify(tmp_path, Zone(), None, *arguments)
    assert done.returncode == 64
    assert "do:" in done.stderr
