"""Every kind of answer, from a real server over UDP and TCP."""

import asyncio
from collections.abc import Iterator

import pytest
from support.clock import VirtualClock
from support.dns import GARBAGE, NO_REPLY, REFUSED, SERVFAIL, Zone, serve_dns

from engine.authentication.resolver import (
    Absence,
    Absent,
    DnsResolver,
    Doubt,
    MailExchanger,
    Records,
    Unknown,
    read_exchangers,
)


@pytest.fixture
def zone() -> Zone:
    return Zone()


@pytest.fixture
def server(zone: Zone) -> Iterator[str]:
    with serve_dns(zone) as address:
        yield address


async def test_resolver_joins_the_strings_of_a_txt_record(zone: Zone, server: str):
    zone.add("acme.example", "TXT", "v=spf1 " + "a" * 300, "second")
    assert await DnsResolver([server]).query("ACME.example.", "TXT") == Records(
        "acme.example", ("v=spf1 " + "a" * 300, "second")
    )


async def test_resolver_shows_bytes_that_are_not_utf8(zone: Zone, server: str):
    zone.add("acme.example", "TXT", "v=\udcff\x1b[31m")
    assert await DnsResolver([server]).query("acme.example", "TXT") == Records("acme.example", ("v=\\xff\x1b[31m",))


async def test_resolver_asks_over_tcp_when_truncated(zone: Zone, server: str):
    zone.add("acme.example", "TXT", *(f"{i} " + "a" * 1000 for i in range(10)))
    answer = await DnsResolver([server]).query("acme.example", "TXT")
    assert isinstance(answer, Records)
    assert len(answer.values) == 10
    assert [transport for _, _, transport in zone.asked] == ["udp", "tcp"]


async def test_resolver_tells_nxdomain_from_nodata(zone: Zone, server: str):
    zone.add("www.acme.example", "A", "192.0.2.1")
    resolver = DnsResolver([server])
    assert await resolver.query("acme.example", "TXT") == Absent("acme.example", Absence.NODATA)
    assert await resolver.query("x.acme.example", "TXT") == Absent("x.acme.example", Absence.NXDOMAIN)


@pytest.mark.parametrize(
    ("how", "reason"),
    [(SERVFAIL, Doubt.SERVFAIL), (REFUSED, Doubt.REFUSED), (NO_REPLY, Doubt.TIMEOUT), (GARBAGE, Doubt.MALFORMED)],
)
async def test_resolver_says_unknown_when_a_server_fails(zone: Zone, server: str, how: str, reason: Doubt):
    zone.fail("acme.example", how)
    answer = await DnsResolver([server], query_seconds=0.4).query("acme.example", "TXT")
    assert isinstance(answer, Unknown)
    assert answer.reason in {reason, Doubt.TIMEOUT} if how == GARBAGE else answer.reason == reason


async def test_resolver_says_unknown_when_nothing_listens():
    answer = await DnsResolver(["127.0.0.1:9"], query_seconds=0.3).query("acme.example", "TXT")
    assert isinstance(answer, Unknown)


@pytest.mark.parametrize("follows", [True, False])
async def test_resolver_follows_aliases(zone: Zone, server: str, *, follows: bool):
    """Also where the server leaves that to its client."""
    zone.follows_aliases = follows
    zone.add("a.example", "CNAME", "b.example")
    zone.add("b.example", "CNAME", "c.example")
    zone.add("c.example", "TXT", "here")
    resolver = DnsResolver([server])
    assert await resolver.query("a.example", "TXT") == Records("a.example", ("here",), ("b.example", "c.example"))
    assert await resolver.query("a.example", "CNAME") == Records("a.example", ("b.example",))


@pytest.mark.parametrize("follows", [True, False])
async def test_resolver_names_the_chain_when_an_alias_leads_nowhere(zone: Zone, server: str, *, follows: bool):
    zone.follows_aliases = follows
    zone.add("a.example", "CNAME", "b.example")
    assert await DnsResolver([server]).query("a.example", "TXT") == Absent(
        "a.example", Absence.NXDOMAIN, ("b.example",)
    )
    zone.add("a2.example", "CNAME", "c.example")
    zone.add("c.example", "A", "192.0.2.1")
    assert await DnsResolver([server]).query("a2.example", "TXT") == Absent(
        "a2.example", Absence.NODATA, ("c.example",)
    )


@pytest.mark.parametrize("follows", [True, False])
async def test_resolver_gives_up_a_loop_and_a_long_chain(zone: Zone, server: str, *, follows: bool):
    zone.follows_aliases = follows
    zone.add("a.example", "CNAME", "b.example")
    zone.add("b.example", "CNAME", "a.example")
    for i in range(100):
        zone.add(f"n{i}.example", "CNAME", f"n{i + 1}.example")
    zone.add("n100.example", "TXT", "far")
    resolver = DnsResolver([server])
    assert await resolver.query("a.example", "TXT") == Unknown("a.example", Doubt.CHAIN)
    assert await resolver.query("n0.example", "TXT") == Unknown("n0.example", Doubt.CHAIN)
    assert len(zone.asked) < 25


async def test_resolver_reads_mail_exchangers_in_order(zone: Zone, server: str):
    zone.add("acme.example", "MX", "20 b.example", "10 A.example")
    zone.add("null.example", "MX", "0 .")
    resolver = DnsResolver([server])
    answer, null = await resolver.query("acme.example", "MX"), await resolver.query("null.example", "MX")
    assert isinstance(answer, Records)
    assert read_exchangers(answer) == [MailExchanger(10, "a.example"), MailExchanger(20, "b.example")]
    assert isinstance(null, Records)
    assert read_exchangers(null) == [MailExchanger(0, "")]


@pytest.mark.parametrize("name", ["a..example", "a" * 64 + ".example", ".".join(["a" * 60] * 5), "\udcff.example"])
async def test_resolver_asks_nothing_when_a_name_cannot_exist(zone: Zone, server: str, name: str):
    answer = await DnsResolver([server]).query(name, "TXT")
    assert answer == Absent(name, Absence.INVALID_NAME)
    assert zone.asked == []


async def test_resolver_asks_a_question_once(zone: Zone, server: str):
    zone.add("acme.example", "TXT", "x")
    resolver = DnsResolver([server])
    await asyncio.gather(*(resolver.query("acme.example", "TXT") for _ in range(10)))
    await resolver.query("Acme.Example.", "TXT")
    assert zone.asked == [("acme.example", "TXT", "udp")]


async def test_resolver_asks_the_next_server_when_one_fails(zone: Zone, server: str):
    zone.add("acme.example", "TXT", "x")
    failing = Zone()
    failing.fail("acme.example", SERVFAIL)
    with serve_dns(failing) as first:
        assert await DnsResolver([first, server]).query("acme.example", "TXT") == Records("acme.example", ("x",))


async def test_resolver_asks_nothing_when_its_time_is_used_up(zone: Zone, server: str):
    zone.add("acme.example", "TXT", "x")
    clock = VirtualClock()
    resolver = DnsResolver([server], all_seconds=10, clock=clock)
    await resolver.query("acme.example", "TXT")
    clock.advance(11)
    assert await resolver.query("later.example", "TXT") == Unknown("later.example", Doubt.TIMEOUT)
    assert [name for name, _, _ in zone.asked] == ["acme.example"]
