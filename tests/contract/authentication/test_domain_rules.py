"""Every rule is documented, and can be broken."""

import asyncio
import re

from msgspec.structs import replace
from support.dns import SERVFAIL, Zone, serve_dns
from support.paths import DOCS
from support.sending_domain import FACTS, TOKENS, check, list_troubles, make_key, make_zone

from engine.authentication.domains.facts import DkimFacts
from engine.authentication.domains.launch_checks import check_domain_quickly
from engine.authentication.domains.rules import DOMAIN_RULES
from engine.authentication.https_fetch import Fetched, FetchResult
from engine.authentication.resolver import DnsResolver
from engine.authentication.results import RuleResult, Verdict


async def fetch_nothing(url: str, *, limit: int, redirects: int = 0) -> FetchResult:
    del url, limit, redirects
    return Fetched(b"")


def break_everything() -> list[RuleResult]:
    """Check domains that break one rule after another."""
    facts = replace(
        FACTS, from_domain="else.example", sends=False, dkim=DkimFacts(enabled=False, status="FAILED", tokens=TOKENS)
    )
    zone = make_zone()
    zone.replace("aaaa._domainkey.acme.example", "CNAME")
    zone.replace("bbbb.dkim.amazonses.com", "TXT", "p=")
    zone.replace("cccc.dkim.amazonses.com", "TXT", f"t=y; p={make_key()}")
    zone.replace("bounce.acme.example", "MX", "10 mail.acme.example")
    zone.replace("bounce.acme.example", "TXT", "v=spf1 ptr ip4:x +all")
    zone.add("_dmarc.else.example", "TXT", "v=DMARC1; p=none; fo=9; pct=1")
    zone.add("default._bimi.else.example", "TXT", "v=BIMI1; l=https://else.example/x.svg")
    zone.replace("_mta-sts.acme.example", "TXT")
    zone.replace("_smtp._tls.acme.example", "TXT")
    zone.add("a.example", "A", "192.0.2.1")
    results = check(zone, facts, fetch=fetch_nothing)
    for record in ("v=spf1" + " a:a.example" * 11, "v=spf1 a:x.example a:y.example a:z.example ~all"):
        zone.replace("bounce.acme.example", "TXT", record)
        results += check(zone, facts)
    nothing = replace(FACTS, from_domain="nothing.example", mail_from="")
    results += check(Zone({("x.example", "A"): "192.0.2.1"}), nothing)
    return [*results, *check(Zone({("x.example", "A"): "192.0.2.1"}), FACTS)]


def test_every_rule_can_be_broken():
    broken = {one.code for one in break_everything() if one.verdict in {Verdict.FAIL, Verdict.ADVICE}}
    assert broken == set(DOMAIN_RULES)


def test_every_trouble_says_where_and_what_to_do():
    for one in break_everything():
        if one.verdict is not Verdict.PASS:
            assert one.what, one
            assert one.where, one
            assert one.remedy, one
            assert one.source, one
        assert bool(one.receivers) == (one.verdict is Verdict.FAIL and bool(DOMAIN_RULES[one.code].receivers))


def test_every_rule_is_in_the_reference():
    page = (DOCS / "reference" / "authentication.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE)) >= set(DOMAIN_RULES)


def check_quickly(zone: Zone) -> list[RuleResult]:
    with serve_dns(zone) as server:
        return asyncio.run(check_domain_quickly(DnsResolver([server], query_seconds=0.5), FACTS))


def test_quick_check_passes_a_domain_in_order_with_few_questions():
    zone = make_zone()
    assert list_troubles(check_quickly(zone)) == []
    assert len(zone.asked) == 3


def test_quick_check_finds_what_a_launch_must_not_miss():
    zone = make_zone()
    zone.replace("bounce.acme.example", "MX", "10 mail.acme.example")
    zone.replace("bounce.acme.example", "TXT", "v=spf1 -all")
    zone.replace("_dmarc.acme.example", "TXT")
    assert list_troubles(check_quickly(zone)) == [
        ("mail_from_mx", Verdict.FAIL),
        ("spf_amazonses", Verdict.FAIL),
        ("dmarc_record", Verdict.FAIL),
    ]


def test_quick_check_fails_nothing_when_dns_fails():
    zone = make_zone()
    for name in ("bounce.acme.example", "_dmarc.acme.example"):
        zone.fail(name, SERVFAIL)
    assert {verdict for _, verdict in list_troubles(check_quickly(zone))} == {Verdict.UNKNOWN}
