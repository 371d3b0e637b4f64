"""Checks beside the grammar: nothing unless asked for, a note by default, an exclusion where configured."""

from collections.abc import Collection
from pathlib import Path

import pytest
from support.plans import excluded, plan

from engine.audience.planning.plan import Lists
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
        ("typo", [3], "the domain gnail.com looks mistyped: did you mean gmail.com?"),
        ("role", [4, 7], "info@ is a role address, not a person"),
        ("disposable", [5], "the domain mailinator.com provides disposable addresses"),
        ("mx", [6], "the domain dead.example accepts no mail: DNS has no mail server for it"),
    ],
)
def test_a_check_warns_or_excludes(check: str, lines: list[int], words: str, workspace: Path) -> None:
    lists = Lists(look_up=lambda _: ({"dead.example"}, ()))
    warned = plan(workspace, checks={check: "warn"}, lists=lists)
    assert warned.accepted == 6
    assert words in warned.notes[0]
    rows = format_count(len(lines), "row")
    assert warned.notes[0].startswith(f"{rows} with an address that fails the check {check}")
    assert plan(workspace, checks={check: "exclude"}, lists=lists).excluded == {"invalid_address": len(lines)}
    assert [line for line, _, _ in excluded(workspace)] == lines
    assert excluded(workspace)[0][1:] == ("invalid_address", words)


def test_what_is_allowed_is_not_objected_to(workspace: Path) -> None:
    every = dict.fromkeys(("typo", "role", "disposable", "mx"), "exclude")
    allow = ("gnail.com", "info", "no-reply", "mailinator.com", "dead.example")
    lists = Lists(look_up=lambda domains: (set(domains) & {"dead.example"}, ()))
    assert plan(workspace, checks={**every, "allow": allow}, lists=lists).accepted == 6


def test_unresolved_domains_are_treated_as_valid_and_reported(workspace: Path) -> None:
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
