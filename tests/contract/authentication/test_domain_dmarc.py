"""DMARC, its alignment, and the From domain, through a real server."""

import pytest
from msgspec.structs import replace
from support.dns import NO_REPLY, SERVFAIL
from support.sending_domain import FACTS, POLICY, check, find, list_troubles, make_zone

from engine.authentication.domains.facts import DomainFacts
from engine.authentication.results import Verdict

NAME = "_dmarc.acme.example"
SUBDOMAIN = replace(FACTS, from_domain="news.acme.example", reply_domain="acme.example")
LONG = "".join(f"; x{i}=1" for i in range(1200))
FAIL, ADVICE, UNKNOWN = Verdict.FAIL, Verdict.ADVICE, Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("records", "code", "verdict", "words"),
    [
        ((), "dmarc_record", FAIL, "no DMARC record"),
        (("v=DMARC2; p=none",), "dmarc_record", FAIL, "does not begin with v=DMARC1"),
        (("p=none; v=DMARC1",), "dmarc_record", FAIL, "does not begin"),
        ((POLICY, "v=DMARC1; p=none"), "dmarc_record", FAIL, "there are 2"),
        (("v=DMARC1; p=nothing; rua=mailto:a@acme.example",), "dmarc_syntax", FAIL, "no valid policy"),
        (("v=DMARC1; rua=mailto:a@acme.example",), "dmarc_syntax", FAIL, "no valid policy"),
        (("v=DMARC1; p=reject; p=none",), "dmarc_syntax", FAIL, "repeats a tag"),
        (("v=DMARC1; p=reject; rua=mailto:a@acme.example; fo=9",), "dmarc_syntax", FAIL, "fo"),
        (("v=DMARC1; p=reject; rua=mailto:a@acme.example" + LONG,), "dmarc_syntax", FAIL, "more than"),
        (("v=DMARC1; p=reject; pct=50; rua=mailto:a@acme.example",), "dmarc_pct", ADVICE, "50 percent"),
        (("v=DMARC1; p=reject; t=y; rua=mailto:a@acme.example",), "dmarc_pct", ADVICE, "test"),
        (("v=DMARC1; p=reject",), "dmarc_reports", ADVICE, "asks for no reports"),
        (("v=DMARC1; p=reject; rua=https://acme.example",), "dmarc_reports", ADVICE, "not a list of mailto"),
        (("v=DMARC1; p=reject; rua=mailto:a@else.example",), "dmarc_reports", ADVICE, "else.example does not accept"),
    ],
)
def test_dmarc_rule_is_broken(records: tuple[str, ...], code: str, verdict: Verdict, words: str):
    zone = make_zone()
    zone.replace(NAME, "TXT", *records)
    results = check(zone)
    assert [one for one in list_troubles(results) if one[0] != "bimi_dmarc"] == [(code, verdict)]
    assert words in find(results, code).what


@pytest.mark.parametrize(
    "record",
    [
        "v=DMARC1; p=reject; rua=mailto:a@acme.example!10m,mailto:b@mail.acme.example; pct=100",
        "v = DMARC1 ;p=QUARANTINE;rua=mailto:a@reports.example;adkim=s;",
        "v=DMARC1; p=reject; sp=quarantine; np=reject; fo=1:d; rua=mailto:a@acme.example; x=unknown",
    ],
)
def test_dmarc_rules_are_kept(record: str):
    zone = make_zone()
    zone.replace(NAME, "TXT", record)
    zone.add("acme.example._report._dmarc.reports.example", "TXT", "v=DMARC1;")
    assert list_troubles(check(zone)) == []


def test_dmarc_policy_none_is_advised_against():
    zone = make_zone()
    zone.replace(NAME, "TXT", "v=DMARC1; p=none; rua=mailto:a@acme.example")
    assert list_troubles(check(zone)) == [("dmarc_policy", ADVICE), ("bimi_dmarc", ADVICE)]


@pytest.mark.parametrize("how", [SERVFAIL, NO_REPLY])
def test_dmarc_is_unknown_when_dns_fails(how: str):
    zone = make_zone()
    zone.fail(NAME, how)
    assert ("dmarc_record", UNKNOWN) in list_troubles(check(zone, query_seconds=0.5))
    assert not any(verdict is FAIL for _, verdict in list_troubles(check(zone, query_seconds=0.5)))


def test_dmarc_is_unknown_when_dns_fails_above():
    """The domain has no record, and whether its organization has one is not known."""
    zone = make_zone()
    zone.fail(NAME, SERVFAIL)
    results = check(zone, SUBDOMAIN)
    assert find(results, "dmarc_record").verdict is UNKNOWN


def test_dmarc_reports_are_unknown_when_dns_fails():
    zone = make_zone()
    zone.replace(NAME, "TXT", "v=DMARC1; p=reject; rua=mailto:a@else.example")
    zone.fail("acme.example._report._dmarc.else.example", SERVFAIL)
    assert list_troubles(check(zone)) == [("dmarc_reports", UNKNOWN)]


@pytest.mark.parametrize(
    ("record", "policy"),
    [
        ("p=reject; sp=none", Verdict.ADVICE),
        ("p=none; sp=reject", Verdict.PASS),
        ("p=reject", Verdict.PASS),
        ("p=none", Verdict.ADVICE),
        ("p=none; sp=none; np=reject", Verdict.ADVICE),
    ],
)
def test_dmarc_policy_for_a_subdomain_is_sp(record: str, policy: Verdict):
    zone = make_zone()
    zone.add("news.acme.example", "A", "192.0.2.1")
    zone.replace(NAME, "TXT", f"v=DMARC1; {record}; rua=mailto:a@acme.example")
    assert find(check(zone, SUBDOMAIN), "dmarc_policy").verdict is policy


def test_dmarc_policy_is_np_when_the_from_domain_does_not_exist():
    zone = make_zone()
    zone.replace(NAME, "TXT", "v=DMARC1; p=none; np=reject; rua=mailto:a@acme.example")
    results = check(zone, SUBDOMAIN)
    assert find(results, "dmarc_policy").verdict is Verdict.PASS
    assert find(results, "from_domain").verdict is FAIL


@pytest.mark.parametrize(
    ("records", "where"),
    [
        ({"b.a.acme.example": "p=none", "acme.example": "p=reject"}, "_dmarc.b.a.acme.example"),
        ({"a.acme.example": "p=none", "acme.example": "p=reject"}, "_dmarc.acme.example"),
        ({"a.acme.example": "p=none; psd=n", "acme.example": "p=reject"}, "_dmarc.a.acme.example"),
        ({"acme.example": "p=reject", "example": "p=none; psd=y"}, "_dmarc.acme.example"),
        ({"example": "p=none; psd=y"}, "_dmarc.example"),
    ],
)
def test_dmarc_record_is_found_by_the_tree_walk(records: dict[str, str], where: str):
    zone = make_zone()
    zone.replace(NAME, "TXT")
    for domain, record in records.items():
        zone.add(f"_dmarc.{domain}", "TXT", f"v=DMARC1; {record}")
    facts = replace(FACTS, from_domain="b.a.acme.example")
    assert find(check(zone, facts), "dmarc_record").where == where


def test_dmarc_walk_asks_eight_questions_when_a_domain_is_long():
    zone = make_zone()
    zone.replace(NAME, "TXT")
    zone.fail("default._bimi.acme.example", SERVFAIL)
    check(zone, replace(FACTS, from_domain=".".join("abcdefghijklmnop") + ".acme.example"))
    asked = [name for name, _, _ in zone.asked if name.startswith("_dmarc.")]
    assert len(asked) == 8
    assert "_dmarc.acme.example" in asked
    assert "_dmarc.example" in asked


@pytest.mark.parametrize(
    ("tags", "facts", "dkim", "spf"),
    [
        ("", FACTS, "pass", "pass"),
        ("adkim=r; aspf=r", SUBDOMAIN, "pass", "pass"),
        ("adkim=s", FACTS, "pass", "pass"),
        ("adkim=s", SUBDOMAIN, "advice", "pass"),
        ("aspf=s", FACTS, "pass", "advice"),
        ("adkim=s; aspf=s", SUBDOMAIN, "fail", "fail"),
        ("", replace(FACTS, from_domain="other.example"), "fail", "fail"),
        ("", replace(FACTS, mail_from=""), "pass", "advice"),
        ("", replace(FACTS, mail_from="bounce.other.example"), "pass", "advice"),
        ("", replace(FACTS, domain="other.example"), "advice", "pass"),
    ],
)
def test_alignment_fails_when_neither_aligns(tags: str, facts: DomainFacts, dkim: str, spf: str):
    zone = make_zone()
    zone.replace(NAME, "TXT", f"v=DMARC1; p=reject; rua=mailto:a@acme.example; {tags}")
    results = check(zone, facts)
    assert (find(results, "dmarc_dkim_alignment").verdict, find(results, "dmarc_spf_alignment").verdict) == (dkim, spf)


@pytest.mark.parametrize(
    ("records", "verdict", "words"),
    [
        ({"A": "192.0.2.1"}, Verdict.PASS, "address"),
        ({"AAAA": "2001:db8::1"}, Verdict.PASS, "address"),
        ({"MX": "10 mx.other.example"}, Verdict.PASS, "replies"),
        ({"MX": "0 ."}, FAIL, "null MX"),
        ({"TXT": "x"}, FAIL, "neither"),
        ({}, FAIL, "neither"),
    ],
)
def test_from_domain_needs_a_server_or_an_address(records: dict[str, str], verdict: Verdict, words: str):
    zone = make_zone()
    zone.replace("acme.example", "MX")
    for kind, value in records.items():
        zone.add("acme.example", kind, value)
    result = find(check(zone), "from_domain")
    assert result.verdict is verdict
    assert words in result.what


@pytest.mark.parametrize("how", [SERVFAIL, NO_REPLY])
def test_from_domain_is_unknown_when_dns_fails(how: str):
    zone = make_zone()
    zone.fail("acme.example", how, "MX")
    assert list_troubles(check(zone, query_seconds=0.5)) == [("from_domain", UNKNOWN)]
