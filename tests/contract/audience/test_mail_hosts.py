"""MX lookups, over real DNS: an authority on loopback."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dns.asyncresolver
import pytest
from dnslib import MX, QTYPE, RCODE, RR, A
from dnslib.server import DNSServer

from engine.audience import mail_hosts
from engine.audience.mail_hosts import MailHosts

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
DEAD, UNKNOWN = {"null.example", "nothing.example", "empty.example"}, {"broken.example"}
ALIVE = {"mail.example", "a-only.example"}


class Authority:
    """Answers for a handful of domains, and counts the questions."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def resolve(self, request: Any, handler: object) -> Any:  # noqa: ARG002 - dnslib's interface
        name, kind = str(request.q.qname).rstrip("."), QTYPE[request.q.qtype]
        self.asked[name] += 1
        reply = request.reply()
        if name == "mail.example" and kind == "MX":
            reply.add_answer(RR(name, QTYPE.MX, rdata=MX("mx.mail.example", 10)))
        elif name == "null.example" and kind == "MX":
            reply.add_answer(RR(name, QTYPE.MX, rdata=MX(".", 0)))
        elif name == "a-only.example" and kind == "A":
            reply.add_answer(RR(name, QTYPE.A, rdata=A("192.0.2.1")))
        elif name == "nothing.example":
            reply.header.rcode = RCODE.NXDOMAIN
        elif name.startswith("broken"):
            reply.header.rcode = RCODE.SERVFAIL
        return reply


@pytest.fixture
def authority() -> Iterator[tuple[Authority, int]]:
    resolver = Authority()
    server = DNSServer(resolver, address="127.0.0.1", port=0, logger=_Silent())
    server.start_thread()
    yield resolver, server.server.server_address[1]
    server.stop()
    server.server.server_close()


class _Silent:
    """A logger without output."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def make_resolver(port: int) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], port
    return resolver


def test_domains_without_mail_are_distinguished_from_those_with_it(authority: tuple[Authority, int]) -> None:
    hosts = MailHosts(None, NOW, make_resolver(authority[1]))
    dead, unknown = hosts.look_up(sorted(DEAD | UNKNOWN | ALIVE))
    assert (set(dead), set(unknown)) == (DEAD, UNKNOWN)


def test_answers_are_remembered_for_a_week_and_failures_are_not(
    authority: tuple[Authority, int], tmp_path: Path
) -> None:
    resolver, port = authority
    cache = tmp_path / "cache" / "mx.parquet"
    first = MailHosts(cache, NOW, make_resolver(port))
    first.look_up(["mail.example", "nothing.example", "broken.example"])
    first.save_cache()
    resolver.asked.clear()
    again = MailHosts(cache, NOW + timedelta(days=6), make_resolver(port))
    assert again.look_up(["mail.example", "nothing.example"]) == ({"nothing.example"}, set())
    assert not resolver.asked
    again.look_up(["broken.example"])
    assert set(resolver.asked) == {"broken.example"}
    later = MailHosts(cache, NOW + timedelta(days=8), make_resolver(port))
    later.look_up(["mail.example"])
    assert "mail.example" in resolver.asked


def test_damaged_cache_is_made_again(authority: tuple[Authority, int], tmp_path: Path) -> None:
    cache = tmp_path / "mx.parquet"
    cache.write_bytes(b"nonsense")
    hosts = MailHosts(cache, NOW, make_resolver(authority[1]))
    assert hosts.look_up(["nothing.example"])[0] == {"nothing.example"}
    hosts.save_cache()
    assert MailHosts(cache, NOW, make_resolver(9)).look_up(["nothing.example"]) == ({"nothing.example"}, set())


def test_no_domain_is_dead_without_a_network_and_the_wait_is_short(
    authority: tuple[Authority, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver, port = authority
    monkeypatch.setattr(mail_hosts, "FAILURES_TO_GIVE_UP", 5)
    monkeypatch.setattr(mail_hosts, "AT_ONCE", 2)
    domains = [f"broken{number}.example" for number in range(500)]
    dead, unknown = MailHosts(None, NOW, make_resolver(port)).look_up(domains)
    assert (len(dead), len(unknown)) == (0, 500)
    assert len(resolver.asked) < 10


def test_a_machine_without_a_resolver_learns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.asyncresolver, "Resolver", refuse)
    assert MailHosts(None, NOW).look_up(["mail.example"]) == (set(), {"mail.example"})
