"""The DNS records of a set-up, and what Route 53 has of them."""

from typing import Any

import dns.rdatatype
import dns.zone
import pytest

from engine.account.setup.dns.dns_records import DnsRecord, list_records, write_zone
from engine.account.setup.dns.hosted_zones import HostedZone, Presence, compare_record, find_zone
from engine.account.setup.wanted import WantedState

WANTED = WantedState(
    domain="acme.example", mail_from="bounce.acme.example", inbound_domain="in.acme.example", dmarc="v=DMARC1; p=reject"
)
EASY = {"Tokens": ["t1", "t2", "t3"], "SigningHostedZone": "dkim.eu-south-1.amazonses.com"}
ZONE = HostedZone("/hostedzone/Z1", "acme.example")
KEY = "A" * 392  # of 2048 bits


def read_zone(text: str) -> dns.zone.Zone:
    return dns.zone.from_text(f"@ 60 IN SOA a. b. 1 1 1 1 1\n@ 60 IN NS a.\n{text}", origin="acme.example.")


def texts(zone: dns.zone.Zone, name: str, kind: str) -> list[str]:
    found = zone.find_rdataset(name, dns.rdatatype.from_text(kind))
    return sorted(one.to_text(zone.origin, relativize=False) for one in found)


def test_zone_file_has_every_record():
    zone = read_zone(write_zone(list_records(WANTED, "eu-south-1", EASY)))
    for token in ("t1", "t2", "t3"):
        assert texts(zone, f"{token}._domainkey", "CNAME") == [f"{token}.dkim.eu-south-1.amazonses.com."]
    assert texts(zone, "bounce", "MX") == ["10 feedback-smtp.eu-south-1.amazonses.com."]
    assert texts(zone, "bounce", "TXT") == ['"v=spf1 include:amazonses.com ~all"']
    assert texts(zone, "_dmarc", "TXT") == ['"v=DMARC1; p=reject"']
    assert texts(zone, "in", "MX") == ["10 inbound-smtp.eu-south-1.amazonaws.com."]


def test_a_long_key_is_split_and_read_back_whole():
    own = WantedState(domain="acme.example", mail_from="bounce.acme.example", dkim_selector="s1")
    zone = read_zone(write_zone(list_records(own, "eu-west-1", {}, KEY)))
    (found,) = zone.find_rdataset("s1._domainkey", dns.rdatatype.TXT)
    assert max(map(len, found.strings)) == 255
    assert b"".join(found.strings).decode() == f"v=DKIM1; k=rsa; p={KEY}"


@pytest.mark.parametrize(("selector", "key"), [("", KEY), ("s1", "")])
def test_records_that_are_not_known_are_left_out(selector: str, key: str):
    state = WantedState(domain="acme.example", mail_from="bounce.acme.example", dkim_selector=selector)
    assert [record.purpose for record in list_records(state, "eu-west-1", {}, key)] == ["MAIL FROM", "SPF", "DMARC"]


def test_dmarc_is_advice_only_where_none_is_wanted():
    plain = WantedState(domain="acme.example", mail_from="bounce.acme.example")
    assert [one.is_advice for one in list_records(plain, "r", {}) if one.purpose == "DMARC"] == [True]
    assert [one.is_advice for one in list_records(WANTED, "r", {}) if one.purpose == "DMARC"] == [False]


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("_dmarc.acme.example", "acme.example"),
        ("x.mail.acme.example", "mail.acme.example"),
        ("mail.acme.example", "mail.acme.example"),
        ("notacme.example", None),
    ],
)
def test_longest_zone_has_the_record(name: str, zone: str | None):
    zones = [HostedZone("1", "acme.example"), HostedZone("2", "mail.acme.example")]
    found = find_zone(zones, name)
    assert (found and found.name) == zone


def record_set(name: str, kind: str, *values: str, **more: Any) -> dict[str, Any]:
    return {"Name": name, "Type": kind, "ResourceRecords": [{"Value": value} for value in values], **more}


MX = DnsRecord("b.acme.example", "MX", "10 feedback-smtp.eu-west-1.amazonses.com", "MAIL FROM")
TXT = DnsRecord("b.acme.example", "TXT", "v=spf1 -all", "SPF")
CNAME = DnsRecord("t._domainkey.acme.example", "CNAME", "t.dkim.amazonses.com", "DKIM")
DMARC = DnsRecord("_dmarc.acme.example", "TXT", "v=DMARC1; p=none", "DMARC", is_advice=True)


@pytest.mark.parametrize(
    ("record", "sets", "presence"),
    [
        (MX, [], Presence.MISSING),
        (MX, [record_set("c.acme.example.", "MX", "10 other.")], Presence.MISSING),
        (MX, [record_set("b.acme.example.", "TXT", '"x"')], Presence.MISSING),
        (MX, [record_set("B.acme.example.", "MX", "10 Feedback-SMTP.eu-west-1.amazonses.com.")], Presence.PRESENT),
        (MX, [record_set("b.acme.example.", "MX", "20 feedback-smtp.eu-west-1.amazonses.com")], Presence.CONFLICT),
        (MX, [record_set("b.acme.example.", "MX", f"{MX.value}.", "20 other.")], Presence.CONFLICT),
        (MX, [record_set("b.acme.example.", "CNAME", "other.")], Presence.CONFLICT),
        (MX, [record_set("b.acme.example.", "MX", f"{MX.value}.", SetIdentifier="a")], Presence.CONFLICT),
        (TXT, [record_set("b.acme.example.", "TXT", '"v=spf1 " "-all"')], Presence.PRESENT),
        (TXT, [record_set("b.acme.example.", "TXT", '"V=spf1 -all"')], Presence.CONFLICT),
        (TXT, [record_set("b.acme.example.", "TXT", '"v=spf1 -all"', '"site=1"')], Presence.CONFLICT),
        (CNAME, [record_set("t._domainkey.acme.example.", "TXT", '"p="')], Presence.CONFLICT),
        (CNAME, [{"Name": "t._domainkey.acme.example.", "Type": "A", "AliasTarget": {}}], Presence.CONFLICT),
        (DMARC, [record_set("_dmarc.acme.example.", "TXT", '"v=DMARC1; p=reject"')], Presence.PRESENT),
        (DMARC, [record_set("_dmarc.acme.example.", "CNAME", "other.")], Presence.CONFLICT),
    ],
)
def test_record_is_missing_present_or_in_conflict(record: DnsRecord, sets: list[dict[str, Any]], presence: Presence):
    assert compare_record(record, ZONE, sets).presence is presence
