"""MX and SPF of the MAIL FROM domain, through a real server."""

import pytest
from msgspec.structs import replace
from support.dns import NO_REPLY, REFUSED, SERVFAIL
from support.sending_domain import FACTS, check, find, list_troubles, make_zone

from engine.authentication.results import Verdict

NAME = "bounce.acme.example"
FEEDBACK = "10 feedback-smtp.eu-west-1.amazonses.com"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((), "only others"),
        (("10 feedback-smtp.us-east-1.amazonses.com",), "feedback-smtp.us-east-1"),
        ((FEEDBACK, "20 mail.acme.example"), "there are 2"),
        ((FEEDBACK, "20 feedback-smtp.eu-west-1.amazonses.com"), "there are 2"),
        (("0 .",), "null MX"),
        (("10 feedback-smtp.eu-west-1.amazonses.com.acme.example",), "amazonses.com.acme.example"),
    ],
)
def test_mx_fails_when_it_is_not_the_one_of_ses(values: tuple[str, ...], words: str):
    zone = make_zone()
    zone.replace(NAME, "MX", *values)
    results = check(zone)
    assert list_troubles(results) == [("mail_from_mx", Verdict.FAIL)]
    assert words in find(results, "mail_from_mx").what
    assert "feedback-smtp.eu-west-1.amazonses.com" in find(results, "mail_from_mx").remedy


def test_mx_of_any_region_passes_when_the_region_is_not_known():
    assert list_troubles(check(make_zone(), replace(FACTS, region=""))) == []


@pytest.mark.parametrize("how", [SERVFAIL, NO_REPLY, REFUSED])
def test_mail_from_is_unknown_when_dns_fails(how: str):
    zone = make_zone()
    zone.fail(NAME, how)
    assert list_troubles(check(zone, query_seconds=0.5)) == [
        ("mail_from_mx", Verdict.UNKNOWN),
        ("spf_record", Verdict.UNKNOWN),
    ]


def test_mail_from_is_advised_when_there_is_none():
    results = check(make_zone(), replace(FACTS, mail_from="", mail_from_status=""))
    assert list_troubles(results) == [("mail_from", Verdict.ADVICE), ("dmarc_spf_alignment", Verdict.ADVICE)]


def test_mail_from_is_advised_when_ses_does_not_use_it():
    results = check(make_zone(), replace(FACTS, mail_from_status="FAILED"))
    assert list_troubles(results) == [("mail_from", Verdict.ADVICE)]


@pytest.mark.parametrize(
    ("records", "code", "verdict", "words"),
    [
        ([], "spf_record", Verdict.FAIL, "only others"),
        (["v=spf10 include:amazonses.com ~all"], "spf_record", Verdict.FAIL, "not valid"),
        ([" v=spf1 include:amazonses.com ~all"], "spf_record", Verdict.FAIL, "not valid"),
        (["v=spf1 include:amazonses.com ~all", "v=spf1 -all"], "spf_record", Verdict.FAIL, "there are 2"),
        (["v=spf1 ip4:192.0.2.1 ~all"], "spf_amazonses", Verdict.FAIL, "does not permit SES"),
        (["v=spf1 -include:amazonses.com ~all"], "spf_amazonses", Verdict.FAIL, "does not permit SES"),
        (["v=spf1 ~all include:amazonses.com"], "spf_amazonses", Verdict.FAIL, "does not permit SES"),
        (["v=spf1 include:other.example ~all"], "spf_amazonses", Verdict.ADVICE, "itself"),
        (["v=spf1 include:amazonses.com +all"], "spf_all", Verdict.FAIL, "every server"),
        (["v=spf1 include:amazonses.com all"], "spf_all", Verdict.FAIL, "every server"),
        (["v=spf1 include:amazonses.com ?all"], "spf_all", Verdict.ADVICE, "?all"),
        (["v=spf1 include:amazonses.com"], "spf_all", Verdict.ADVICE, "missing"),
        (["v=spf1 include:amazonses.com ptr:acme.example ~all"], "spf_ptr", Verdict.ADVICE, "ptr"),
        (["v=spf1 include:amazonses.com ipv4:192.0.2.1 ~all"], "spf_syntax", Verdict.FAIL, "ipv4"),
        (["v=spf1 include:amazonses.com ip4:192.0.2.256 ~all"], "spf_syntax", Verdict.FAIL, "192.0.2.256"),
        (["v=spf1 include:amazonses.com exists:%{x}.acme.example ~all"], "spf_syntax", Verdict.FAIL, "macro"),
        (["v=spf1 include:amazonses.com include:gone.example ~all"], "spf_syntax", Verdict.FAIL, "gone.example"),
        (["v=spf1 include:amazonses.com include:bounce.acme.example ~all"], "spf_syntax", Verdict.FAIL, "loop"),
        (["v=spf1 include:amazonses.com redirect=a.example redirect=b.example"], "spf_syntax", Verdict.FAIL, ""),
        (["v=spf1 include:amazonses.com" + " a:acme.example" * 10 + " ~all"], "spf_lookups", Verdict.FAIL, "11/10"),
        (["v=spf1 include:amazonses.com a:x1.example a:x2.example mx:x3.example ~all"], "spf_void_lookups",
         Verdict.FAIL, "3/2"),
    ],
)  # fmt: skip
def test_spf_rule_is_broken(records: list[str], code: str, verdict: Verdict, words: str):
    zone = make_zone()
    zone.add("acme.example", "A", "192.0.2.1")
    zone.add("other.example", "TXT", "v=spf1 include:amazonses.com -all")
    zone.add("a.example", "TXT", "v=spf1 -all")
    zone.replace(NAME, "TXT", *records)
    results = check(zone)
    assert list_troubles(results) == [(code, verdict)]
    assert words in find(results, code).what


@pytest.mark.parametrize(
    "record",
    [
        "v=spf1 include:amazonses.com -all",
        "V=SPF1 Include:AmazonSES.com ~ALL",
        "v=spf1  +include:amazonses.com ip4:192.0.2.0/24 ip6:2001:db8::/32 ~all",
        "v=spf1 include:amazonses.com a:acme.example mx:acme.example ~all",
        "v=spf1 include:amazonses.com exists:%{i}._spf.acme.example ~all exp=why.acme.example",
        "v=spf1 include:amazonses.com redirect=other.example",
        "v=spf1 include:amazonses.com" + " a:acme.example" * 9 + " ~all",
        "v=spf1 include:amazonses.com a:x1.example a:x2.example ~all",
    ],
)
def test_spf_rules_are_kept(record: str):
    zone = make_zone()
    zone.add("acme.example", "A", "192.0.2.1")
    zone.add("mail.acme.example", "A", "192.0.2.2")
    zone.add("other.example", "TXT", "v=spf1 ip4:192.0.2.9 -all")
    zone.replace(NAME, "TXT", "a note", record)
    assert list_troubles(check(zone)) == []


def test_spf_asks_only_the_given_server_when_a_record_has_exp():
    """The library would look exp= up by the system's resolver."""
    zone = make_zone()
    zone.replace(NAME, "TXT", "v=spf1 include:amazonses.com exp=why.acme.example ~all exp=not.acme.example")
    check(zone)
    assert not any("why" in name or "not." in name for name, _, _ in zone.asked)


@pytest.mark.parametrize("how", [SERVFAIL, NO_REPLY])
@pytest.mark.parametrize("term", ["include:slow.example", "a:slow.example", "mx:slow.example", "redirect=slow.example"])
def test_spf_lookups_are_unknown_when_dns_fails_below(term: str, how: str):
    """Neither a missing record nor a void lookup."""
    zone = make_zone()
    end = "" if term.startswith("redirect") else " ~all"
    zone.replace(NAME, "TXT", f"v=spf1 include:amazonses.com {term}{end}")
    zone.fail("slow.example", how)
    results = check(zone, query_seconds=0.5)
    assert list_troubles(results) == [("spf_lookups", Verdict.UNKNOWN)]
    assert find(results, "spf_lookups").where == "slow.example"
