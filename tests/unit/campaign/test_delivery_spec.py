"""[delivery], [window], [domains], [warmup]: what they accept, and their errors for everything else."""

import pytest

from engine.campaign.spec import CampaignSpec, change_transport, parse_spec
from engine.errors import ConfigurationError, UsageError

HEAD = (
    'from = "a@b.example"\nsubject = "s"\nkind = "transactional"\n[audience]\nsource = "x.csv"\n[content]\ntext = "t"\n'
)


def parse(text: str) -> CampaignSpec:
    return parse_spec(HEAD + text, file="campaign.toml")


def test_every_key_is_read():
    spec = parse(
        '[delivery]\ncall = "bulk"\noutbox = "mbox"\nat_quota = "wait"\n'
        '[window]\nfrom = "09:00"\nto = "20:00"\ntimezone = "column:tz"\noutside = "pause"\n'
        'not_after = "2026-12-24T18:00:00+01:00"\n'
        '[domains."gmail.com"]\nmax_rate = 20\n[warmup]\ncaps = [1, 2]\n'
    )
    assert (spec.delivery.call, spec.delivery.outbox, spec.delivery.at_quota) == ("bulk", "mbox", "wait")
    assert (spec.window.opens, spec.window.closes, spec.window.column, spec.window.zone.key) == (
        "09:00",
        "20:00",
        "tz",
        "UTC",
    )
    assert spec.domains["gmail.com"].max_rate == 20
    assert spec.warmup is not None
    assert spec.warmup.caps == (1, 2)


def test_default_window_domains_and_warmup_limit_nothing():
    spec = parse("")
    assert (spec.window.opens, spec.window.not_after, spec.domains, spec.warmup) == (None, None, {}, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[delivery]\ntransport = "smtp"\ncall = "bulk"', "bulk"),
        ('[delivery]\ntransport = "smtp"\nendpoint_id = "abcdef12.g3h"', "remove endpoint_id"),
        ('[delivery]\ntransport = "smtp"\nopen_tracking = false', "open_tracking = false"),
        ('[delivery]\ntransport = "smtp"\nclick_tracking = true', "click_tracking = true"),
        ('[delivery]\nendpoint_id = "https://abcdef12.g3h"', "endpoint_id"),
        ('[delivery]\nendpoint_id = "-a"', "endpoint_id"),
        ('[delivery]\nendpoint_id = ""', "endpoint_id"),
        ('[delivery]\ntenant = "a b"', "tenant"),
        (f'[delivery]\ntenant = "{"a" * 65}"', "tenant"),
        ('[delivery]\nopen_tracking = "yes"', "open_tracking"),
        ('[delivery]\ntransport = "pigeon"', "outbox"),
        ('[window]\nfrom = "9:00"\nto = "20:00"', "09:00"),
        ('[window]\nfrom = "24:00"\nto = "20:00"', "time of day"),
        ('[window]\nfrom = "09:00"', "both from and to"),
        ('[window]\nfrom = "09:00"\nto = "09:00"', "pass midnight"),
        ('[window]\ntimezone = "Europe/Berlim"', "Europe/Berlin"),
        ('[window]\ntimezone = "column:"', "column:NAME"),
        ('[window]\nnot_after = "noon"', "12:00"),
        ('[window]\nnot_after = "2026-12-24T18:00:00"', "+01:00"),
        ('[window]\ntimezone = "column:tz"\nnot_after = "12:00"', "date and time with offset"),
        ('[domains."Gmail.com"]\nmax_rate = 1', "lower case"),
        ('[domains."gmail"]\nmax_rate = 1', "receiver domain"),
        ('[domains."gmail.com"]\nmax_rate = 0', "greater than 0"),
        ('[domains."gmail.com"]\nmax_rat = 1', "max_rat"),
        ("[warmup]\ncaps = []", "caps"),
        ("[warmup]\ncaps = [0]", "caps"),
        ("[warmup]\ncap = [1]", "cap"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_write(text: str, said: str):
    with pytest.raises(ConfigurationError) as refused:
        parse(text)
    assert said in str(refused.value)
    assert "campaign.toml" in refused.value.where


def test_another_transport_is_taken_over_or_refused_where_it_cannot_be():
    assert change_transport(parse(""), None) == parse("")
    assert change_transport(parse(""), "outbox").delivery.transport == "outbox"
    for setting in ('call = "bulk"', 'endpoint_id = "abcdef12.g3h"', "open_tracking = true", "click_tracking = false"):
        with pytest.raises(UsageError, match=f"smtp does not work with {setting}"):
            change_transport(parse(f"[delivery]\n{setting}"), "smtp")


def test_reach_of_a_campaign_is_read_and_unset_by_default():
    keys = ("endpoint_id", "tenant", "open_tracking", "click_tracking")
    spec = parse(
        '[delivery]\nendpoint_id = "abcdef12.g3h"\ntenant = "a-b_C"\nopen_tracking = false\nclick_tracking = true'
    )
    assert [getattr(spec.delivery, key) for key in keys] == ["abcdef12.g3h", "a-b_C", False, True]
    assert [getattr(parse("").delivery, key) for key in keys] == [None] * 4
    assert change_transport(parse('[delivery]\ntenant = "a"'), "smtp").delivery.tenant == "a"


@pytest.mark.parametrize("transport", ["smtp", "outbox"])
def test_pool_is_refused_for_a_transport_without_pools(transport: str) -> None:
    with pytest.raises(ConfigurationError, match=f'sets pool with transport = "{transport}"'):
        parse(f'[delivery]\npool = "news"\ntransport = "{transport}"')


def test_change_transport_drops_the_pool_for_files_and_refuses_it_for_smtp() -> None:
    spec = parse('[delivery]\npool = "news"')
    assert change_transport(spec, "outbox").delivery.pool is None
    assert change_transport(spec, "ses").delivery.pool == "news"
    with pytest.raises(UsageError, match="does not work with pool"):
        change_transport(spec, "smtp")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('regions = ["eu-west-1", "eu-west-1"]', "names a region twice"),
        ('regions = ["Ireland"]', "regions"),
        ('transport = "smtp"\nregions = ["eu-west-1"]', "regions"),
        ('transport = "outbox"\nregions = ["eu-west-1"]', "sets regions with transport"),
        ('endpoint_id = "abcdef12.g3h"\nregions = ["eu-west-1"]', "sets both regions and endpoint_id"),
    ],
)
def test_regions_that_cannot_be_sent_through_are_refused(text: str, why: str):
    with pytest.raises(ConfigurationError) as refused:
        parse(f"[delivery]\n{text}\n")
    assert why in str(refused.value)


def test_regions_have_no_effect_on_an_outbox():
    spec = parse('[delivery]\nregions = ["eu-west-1", "us-gov-west-1"]\n')
    assert spec.delivery.regions == ("eu-west-1", "us-gov-west-1")
    assert change_transport(spec, "outbox").delivery.regions == ()
    with pytest.raises(UsageError):
        change_transport(spec, "smtp")
