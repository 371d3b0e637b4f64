"""DKIM records and keys, through a real server."""

import base64

import pytest
from msgspec.structs import replace
from support.dns import NO_REPLY, SERVFAIL
from support.sending_domain import FACTS, check, find, list_troubles, make_key, make_zone

from engine.authentication.domains.facts import DkimFacts
from engine.authentication.results import Verdict

NAME, TARGET = "bbbb._domainkey.acme.example", "bbbb.dkim.amazonses.com"
# 768 bits: the cryptography package does not generate such keys.
SHORT_KEY = (
    "MHwwDQYJKoZIhvcNAQEBBQADawAwaAJhAKyCK0FfExwcVTw2919lxKDcxfkpzmfxSpzfulHrBf9EHnT7DX+bISttFK"
    "CWEEVGhQU7dBGpcT0xv0VaGfiVdYCGccE4EqqcRZsJVcDBL82QlU2hyK4aRrvGIyq2oLV7RwIDAQAB"
)
OWN = replace(FACTS, dkim=DkimFacts(enabled=True, status="SUCCESS", tokens=("news",), zone=""))


def test_domain_in_order_passes_every_rule():
    assert list_troubles(check(make_zone())) == []


def test_dkim_record_names_both_targets_when_the_token_is_wrong():
    zone = make_zone()
    zone.replace(NAME, "CNAME", "zzzz.dkim.amazonses.com")
    results = check(zone)
    assert list_troubles(results) == [("dkim_record", Verdict.FAIL)]
    result = find(results, "dkim_record")
    assert "zzzz.dkim.amazonses.com" in result.what
    assert TARGET in result.what
    assert result.where == NAME
    assert result.receivers == ("gmail", "yahoo", "microsoft")


@pytest.mark.parametrize("other", [True, False])
def test_dkim_record_fails_when_absent(*, other: bool):
    """NXDOMAIN and NODATA."""
    zone = make_zone()
    zone.replace(NAME, "CNAME")
    if other:
        zone.add(NAME, "A", "192.0.2.1")
    result = find(check(zone), "dkim_record")
    assert result.verdict is Verdict.FAIL
    assert ("only others" if other else "does not exist") in result.what
    assert f"{NAME} CNAME {TARGET}" in result.remedy


def test_dkim_record_says_so_when_the_domain_stands_there_twice():
    zone = make_zone()
    zone.replace(NAME, "CNAME")
    zone.add(f"{NAME}.acme.example", "CNAME", TARGET)
    result = find(check(zone), "dkim_record")
    assert result.verdict is Verdict.FAIL
    assert "twice" in result.what


def test_dkim_record_advises_a_cname_when_the_key_is_copied():
    zone = make_zone()
    zone.replace(NAME, "CNAME")
    zone.add(NAME, "TXT", f"p={make_key()}")
    assert list_troubles(check(zone)) == [("dkim_record", Verdict.ADVICE)]


def test_dkim_record_leads_to_the_hosted_zone_of_the_identity():
    zone = make_zone()
    facts = replace(FACTS, dkim=DkimFacts(enabled=True, status="SUCCESS", tokens=("aaaa",), zone="x1.dkim.example"))
    assert list_troubles(check(zone, facts)) == [("dkim_record", Verdict.FAIL)]
    zone.replace("aaaa._domainkey.acme.example", "CNAME", "aaaa.x1.dkim.example")
    zone.add("aaaa.x1.dkim.example", "TXT", f"k=rsa; p={make_key()}")
    assert list_troubles(check(zone, facts)) == []


@pytest.mark.parametrize("how", [SERVFAIL, NO_REPLY])
@pytest.mark.parametrize(("name", "code"), [(NAME, "dkim_record"), (TARGET, "dkim_key")])
def test_dkim_is_unknown_when_dns_fails(name: str, code: str, how: str):
    zone = make_zone()
    zone.fail(name, how, None if name == NAME else "TXT")
    assert list_troubles(check(zone, query_seconds=0.5)) == [(code, Verdict.UNKNOWN)]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("p=", "revoked"),
        ("v=DKIM1; k=rsa; p=", "revoked"),
        ("v=DKIM2; p=KEY", "v=DKIM1"),
        ("p=KEY; v=DKIM1", "v=DKIM1"),
        ("k=dsa; p=KEY", "neither rsa nor ed25519"),
        ("p=AAAA", "cannot be read"),
        ("p=%%%", "cannot be read"),
        ("h=sha1; p=KEY", "sha256"),
        ("s=web; p=KEY", "not for email"),
        ("v=spf1 -all", "not a DKIM key"),
        ("p=KEY; p=KEY", "not a DKIM key"),
        ("p=SHORT", "768 bits"),
        (f"k=ed25519; p={base64.b64encode(b'a' * 32).decode()}", "ed25519"),
        ("p=\x1b[31m\udcff", "cannot be read"),
    ],
)
def test_dkim_key_fails_when_no_receiver_can_use_it(record: str, words: str):
    zone = make_zone()
    zone.replace(TARGET, "TXT", record.replace("KEY", make_key()).replace("SHORT", SHORT_KEY))
    results = check(zone)
    assert list_troubles(results) == [("dkim_key", Verdict.FAIL)]
    assert words in find(results, "dkim_key").what
    assert "\x1b" not in find(results, "dkim_key").what


@pytest.mark.parametrize(
    "record", ["v=DKIM1; h=sha1:sha256; s=*; t=s; p=KEY", "p=KEY;", " k = rsa ; p = KEY ", "n=x;p=KEY"]
)
def test_dkim_key_passes_when_valid(record: str):
    zone = make_zone()
    zone.replace(TARGET, "TXT", record.replace("KEY", make_key()))
    assert list_troubles(check(zone)) == []


def test_dkim_key_of_1024_bits_is_advised_against():
    zone = make_zone()
    zone.replace(TARGET, "TXT", f"p={make_key(1024)}")
    results = check(zone)
    assert list_troubles(results) == [("dkim_key", Verdict.ADVICE)]
    assert "1024 bits" in find(results, "dkim_key").what


def test_dkim_key_in_testing_is_advised_against():
    zone = make_zone()
    zone.replace(TARGET, "TXT", f"t=s:y; p={make_key()}")
    assert list_troubles(check(zone)) == [("dkim_testing", Verdict.ADVICE)]


def test_dkim_key_fails_when_there_are_several():
    zone = make_zone()
    zone.replace(TARGET, "TXT", f"p={make_key()}", f"p={make_key(1024)}")
    assert list_troubles(check(zone)) == [("dkim_key", Verdict.FAIL)]


def test_dkim_key_fails_when_ses_has_not_published_it():
    zone = make_zone()
    zone.replace(TARGET, "TXT")
    results = check(zone)
    assert list_troubles(results) == [("dkim_key", Verdict.FAIL)]
    assert TARGET in find(results, "dkim_key").what


def test_own_key_is_a_txt_record():
    zone = make_zone()
    assert list_troubles(check(zone, OWN)) == [("dkim_record", Verdict.FAIL)]
    zone.add("news._domainkey.acme.example", "TXT", f"v=DKIM1; p={make_key()}")
    assert list_troubles(check(zone, OWN)) == []


@pytest.mark.parametrize(
    ("dkim", "sends", "codes"),
    [
        (DkimFacts(enabled=False, status="SUCCESS", tokens=()), True, ["dkim_status"]),
        (DkimFacts(enabled=True, status="PENDING", tokens=()), False, ["identity_status", "dkim_status"]),
        (DkimFacts(enabled=True, status="FAILED", tokens=()), True, ["dkim_status"]),
    ],
)
def test_identity_fails_when_ses_does_not_sign(dkim: DkimFacts, codes: list[str], *, sends: bool):
    results = check(make_zone(), replace(FACTS, dkim=dkim, sends=sends))
    assert list_troubles(results) == [(code, Verdict.FAIL) for code in codes]


def test_identity_fails_when_ses_has_none():
    facts = replace(FACTS, dkim=None, is_identity=False, sends=False)
    assert list_troubles(check(make_zone(), facts)) == [("identity_status", Verdict.FAIL)]


def test_dkim_is_unknown_when_ses_is_not_called():
    facts = replace(FACTS, dkim=None, is_identity=None, sends=None)
    assert list_troubles(check(make_zone(), facts)) == [("dkim_record", Verdict.UNKNOWN)]
