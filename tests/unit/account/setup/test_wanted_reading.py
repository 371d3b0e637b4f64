"""The wanted state of the account, read from settings."""

import pytest

from engine.account.setup.wanted import EventsService, TlsPolicy
from engine.account.setup.whole.wanted_reading import read_wanted
from engine.errors import ConfigurationError, UsageError
from engine.setting_sections import SesSettings


def test_subdomains_are_completed_and_defaults_stay_as_they_are():
    wanted = read_wanted(SesSettings(domain="Acme.Example."))
    assert (wanted.domain, wanted.mail_from) == ("acme.example", "bounce.acme.example")
    assert (wanted.tls, wanted.pool, wanted.events, wanted.inbound_domain) == (None, "", None, "")


def test_whole_subdomains_are_taken_as_they_are():
    settings = SesSettings(
        domain="acme.example",
        mail_from="m.acme.example",
        inbound=True,
        inbound_domain="in",
        tls="require",
        events="sqs",
    )
    wanted = read_wanted(settings)
    assert (wanted.mail_from, wanted.inbound_domain) == ("m.acme.example", "in.acme.example")
    assert (wanted.tls, wanted.events) == (TlsPolicy.REQUIRE, EventsService.SQS)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("domain", "acme"),
        ("domain", "acme..example"),
        ("domain", "192.0.2.1"),
        ("domain", "-acme.example"),
        ("domain", "acme example.org"),
        ("domain", f"{'a' * 64}.example"),
        ("domain", "xn--a.example"),
        ("domain", "xn--\x1b[31m.example"),
        ("mail_from", ""),
        ("mail_from", "acme.example"),
        ("mail_from", "bounce\n.x"),
        ("configuration_set", "a b"),
        ("configuration_set", ""),
        ("pool", "a/b"),
        ("dkim_selector", "a.b"),
        ("dmarc", "v=spf1 -all"),
        ("dmarc", "v=DMARC1; p=nothing"),
        ("dmarc", "v=DMARC1; p=none; rua=mailto:ä@acme.example"),
        ("tracking_domain", "links"),
    ],
)
def test_a_wrong_name_is_refused_with_its_key(key: str, value: str):
    with pytest.raises(ConfigurationError) as refused:
        read_wanted(SesSettings(**{"domain": "acme.example", key: value}))
    options = {"mail_from", "configuration_set", "pool", "dkim_selector", "dmarc"}
    given = "DOMAIN, or " if key == "domain" else f"--{key.replace('_', '-')}, or " if key in options else ""
    assert "\x1b" not in refused.value.what
    assert refused.value.where == f"{given}[ses] {key}"


def test_a_set_up_without_a_domain_is_refused():
    with pytest.raises(UsageError):
        read_wanted(SesSettings())
