"""Suppression files: what they hold is held, and what cannot be read stops the plan."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
import xlsxwriter
from support.plans import excluded, plan

from engine.audience.planning.partitions import Partitions
from engine.audience.planning.scratch import Scratch
from engine.audience.planning.suppressed_rows import set_aside_suppressions
from engine.audience.spec import Dedupe, SuppressionSpec
from engine.errors import DataError
from engine.ledger.suppressed.suppressions import Suppression

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def read(
    folder: Path,
    *,
    topic: str | None = None,
    kind: Literal["marketing", "transactional"] = "marketing",
    skip_invalid: bool = False,
    files: Sequence[str] = ("s*.*",),
    listed: Sequence[Suppression] = (),
    bits: int = 0,
) -> tuple[dict[str, str], list[str]]:
    """What is suppressed, and why, by the files `s*` of a folder and the ledger's list; and the notes."""
    shelves: Scratch[str]
    with Scratch(folder / "shelves") as shelves:
        found = set_aside_suppressions(
            SuppressionSpec(files=tuple(files), topic=topic, skip_invalid=skip_invalid),
            [listed],
            workspace=folder,
            downloads=None,
            partitions=Partitions("k", Dedupe.ADDRESS, bits),
            shelves=shelves,
            kind=kind,
        )
        entries = pl.concat([found.take(part) for part in range(1 << bits)])
    first = entries.unique("key", keep="first", maintain_order=True)
    return dict(found.domains) | dict(first.select("key", "source").iter_rows()), list(found.notes)


def test_entry_is_normalised_like_the_audience_and_names_its_source(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("Email,Reason\n ANN@Example.com ,bounced\nBob <bob@example.com>,\n")
    assert read(tmp_path) == (
        {"ann@example.com": "s.csv line 2: bounced", "bob@example.com": "s.csv line 3"},
        [],
    )


@pytest.mark.parametrize(
    "text",
    [
        "ann@example.com\n",
        "ann@example.com",
        "\n\nann@example.com\n",
        "address\nann@example.com\n",
        "EMAIL\nann@example.com\n",
        "id,who\n1,ann@example.com\n",
        "1,ann@example.com\n",
        "id;email;other\n1;ann@example.com;eve@example.com\n",
        "name,address,email\nAnn,12 Elm Street,ann@example.com\n",
    ],
)
def test_the_column_of_the_addresses_is_found(text: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(text)
    assert list(read(tmp_path)[0]) == ["ann@example.com"]


def test_parquet_is_read_too(tmp_path: Path) -> None:
    pl.DataFrame({"id": [1], "email": ["ann@example.com"], "reason": ["bounced"]}).write_parquet(tmp_path / "s.parquet")
    assert read(tmp_path)[0] == {"ann@example.com": "s.parquet line 1: bounced"}


def test_an_entry_with_a_topic_applies_to_that_topic_alone(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("email,topic\na@x.example,\nb@x.example,Newsletter\nc@x.example,surveys\n")
    assert set(read(tmp_path, topic="newsletter")[0]) == {"a@x.example", "b@x.example"}
    assert set(read(tmp_path)[0]) == {"a@x.example"}
    assert set(read(tmp_path, topic="newsletter", kind="transactional")[0]) == {"a@x.example"}


def test_first_entry_of_an_address_that_applies_is_named(tmp_path: Path) -> None:
    (tmp_path / "s1.csv").write_text("email,topic,reason\na@x.example,other,no\nA@x.example,,yes\n")
    (tmp_path / "s2.csv").write_text("a@x.example\n")
    assert read(tmp_path)[0] == {"a@x.example": "s1.csv line 3: yes"}


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("email\na@x.example\nnobody\nx@y@z\n", 3, "there is no @"),
        ('email\na@x.example\n""\n b@x.example\n@com\n', 5, "there is nothing before the @"),
        ("email,name\na@x.example,A\n,Bob\n", 3, "it has no address"),
        ("email\nd41d8cd98f00b204e9800998ecf8427e\n", 2, "it is a hash"),
        (f"email_sha256\n{'0a' * 32}\n", 2, "it is a hash"),
        (f"{'0A' * 32}\n{'0b' * 32}\n", 1, "it is a hash"),
        ("email\nmd5:d41d8cd98f00b204e9800998ecf8427e\n", 2, "it is a hash"),
        ("email\nann*@x.example\n", 2, "its wildcard is not supported"),
        ("email\nann@*.x.example\n", 2, "its wildcard is not supported"),
        ("email\nmailto:a%2Bb@x.example\n", 2, "a character that is not allowed"),
        ("email\n*\n", 2, "there is no @"),
        ("a@x.example\nn/a\n", 2, "there is no @"),
    ],
)
def test_an_entry_that_cannot_match_stops_the_plan_unless_skipped(
    text: str, line: int, fault: str, tmp_path: Path
) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert fault in caught.value.what
    assert caught.value.where == f"s.csv, line {line}"
    assert "skip_invalid = true" in caught.value.remedy
    (note,) = read(tmp_path, skip_invalid=True)[1]
    assert "match no address and were skipped" in note


def test_a_blank_row_of_a_list_is_not_an_entry(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("name,email,reason\nAnn,a@x.example,\n,,\n , ,\n")
    assert read(tmp_path) == ({"a@x.example": "s.csv line 2"}, [])


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ("@rival.example", "@rival.example"),
        ("*@Rival.Example", "@rival.example"),
        ("rival.example", "@rival.example"),
        ("%@rival.example", "@rival.example"),
        ("@bücher.example", "@xn--bcher-kva.example"),
        ("*.rival.example", "@*.rival.example"),
        ("*@*.rival.example", "@*.rival.example"),
        (".rival.example", "@*.rival.example"),
    ],
)
def test_an_entry_may_be_a_domain(entry: str, key: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(f"email,reason\n{entry},legal: never\n")
    entries, notes = read(tmp_path)
    assert entries == {key: "s.csv line 2: legal: never"}
    assert notes == [f"s.csv: suppresses whole domains: {key[1:]}"]


@pytest.mark.parametrize(
    ("entry", "suppressed"),
    [
        ("@rival.example", ["b@Rival.example"]),
        ("*.rival.example", ["c@sub.rival.example", "d@a.sub.rival.example"]),
    ],
)
def test_a_domain_suppresses_its_addresses_and_no_other(entry: str, suppressed: list[str], tmp_path: Path) -> None:
    people = ["a@x.example", "b@Rival.example", "c@sub.rival.example", "d@a.sub.rival.example", "e@notrival.example"]
    (tmp_path / "list.csv").write_text("\n".join(["email", *people, ""]))
    (tmp_path / "s.csv").write_text(f"email\n{entry}\n")
    plan(tmp_path, suppressed=["s.csv"])
    assert [people[line - 2] for line, reason, _ in excluded(tmp_path) if reason == "suppressed"] == suppressed
    assert {detail for *_, detail in excluded(tmp_path)} == {"suppressed by s.csv line 2"}


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("a@x.example,b@x.example\n", {"a@x.example", "b@x.example"}),
        ("a@x.example\nb@x.example,c@x.example\n", {"a@x.example", "b@x.example", "c@x.example"}),
        ('email\n"a@x.example; b@x.example"\n', {"a@x.example", "b@x.example"}),
        ('"Lee, Ann" <a@x.example>\n<b@x.example>\n', {"a@x.example", "b@x.example"}),
        ('"<a@x.example>" <a@x.example>\nb@x.example (Bob)\n', {"a@x.example", "b@x.example"}),
        ("a@x.example;2026-10-02;asked by bob@x.example at a fair\n", {"a@x.example"}),
        ("sep=;\n7;a@x.example\n8;b@x.example\n", {"a@x.example", "b@x.example"}),
        ('email\n"b@x.example, Ann <a@x.example>"\n', {"a@x.example", "b@x.example"}),
        ('email\n"b@x.example (Bob), a@x.example (Ann)"\n', {"a@x.example", "b@x.example"}),
        ('email\na@x.example <a@x.example>\n"""eve@x.example"" <b@x.example>"\n', {"a@x.example", "b@x.example"}),
        ("email\nmailto:a@x.example\nBob <MAILTO:b@x.example>\n", {"a@x.example", "b@x.example"}),
        ("@rival.example\nother.example\n", {"@rival.example", "@other.example"}),
    ],
)
def test_a_list_suppresses_every_address_in_its_cells_and_lines(text: str, keys: set[str], tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text(text)
    assert set(read(tmp_path)[0]) == keys


@pytest.mark.parametrize(
    "text",
    [
        "Added by,Contact e-mail,Date\nsales@acme.example,a@x.example,2026-10-02\n",
        "Added by,E-Mail-Adresse\nsales@acme.example,a@x.example\n",
        "mailed,Email Address,by\nyes,a@x.example,eve@acme.example\n",
        "by,recipient\neve,a@x.example\n",
        "EMAIL_TYPE,who\nhtml,a@x.example\n",
    ],
)
def test_the_column_named_for_mail_is_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(text)
    assert set(read(tmp_path)[0]) == {"a@x.example"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Added by,Contact\nsales@acme.example,a@x.example\n", ("Added by", "Contact")),
        ("From e-mail,To e-mail\nsales@acme.example,a@x.example\n", ("From e-mail", "To e-mail")),
        ("address,Contact e-mail\n,a@x.example\nb@x.example,\nc@x.example,\nd@x.example,\n", ("address", "Contact")),
        ("Mailing,Contact\na@x.example,\n,b@x.example\n,c@x.example\n,d@x.example\n", ("Mailing", "Contact")),
        ("email,Email\na@x.example,b@x.example\n", ("email", "Email")),
        ("email,email\na@x.example,b@x.example\n", ("email", "email (2)")),
        ("Unsubscribed,Complained\na@x.example,b@x.example\n", ("Unsubscribed", "Complained")),
    ],
)
def test_an_unclear_column_of_addresses_is_refused(text: str, named: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(DataError, match="not clear which column") as caught:
        read(tmp_path)
    assert all(name in caught.value.what for name in named)


def test_an_unclear_line_without_a_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("a@x.example,1\nsales@acme.example,b@x.example,2026-10-02\n")
    with pytest.raises(DataError, match=r"several addresses, and it is unclear .*line 2"):
        read(tmp_path)


def test_addresses_in_another_column_are_reported(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("email,by\na@x.example,eve@acme.example\n")
    assert read(tmp_path)[1] == ["s.csv: the addresses in email were read; those in by were ignored"]


def write_workbook(path: Path, sheets: dict[str, list[list[str]]], hidden: str = "") -> None:
    with xlsxwriter.Workbook(path) as workbook:
        for name, rows in sheets.items():
            sheet = workbook.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
            if name == hidden:
                sheet.hide()


def test_every_sheet_of_a_workbook_is_read(tmp_path: Path) -> None:
    sheets = {
        "Unsubscribed": [["name", "email"], ["Ann", "a@x.example"]],
        "Complained": [["E-mail"], ["b@x.example"]],
        "Domains": [["@rival.example"]],
        "Sheet4": [],
    }
    write_workbook(tmp_path / "s.xlsx", sheets)
    assert read(tmp_path)[0] == {
        "a@x.example": "s.xlsx, sheet Unsubscribed line 2",
        "b@x.example": "s.xlsx, sheet Complained line 2",
        "@rival.example": "s.xlsx, sheet Domains line 1",
    }


def test_a_sheet_that_would_stay_unread_stops_the_plan(tmp_path: Path) -> None:
    sheets = {"A": [["email"], ["a@x.example"]], "B": [["remark"], ["call them"]]}
    write_workbook(tmp_path / "s.xlsx", sheets)
    with pytest.raises(DataError, match=r"no column of addresses .*sheet B"):
        read(tmp_path)
    write_workbook(tmp_path / "s.xlsx", {"A": [["email"], ["a@x.example"]], "B": [["b@x.example"]]}, hidden="B")
    with pytest.raises(DataError, match="hidden sheets with cells: B"):
        read(tmp_path)


def test_no_name_of_a_file_a_run_or_a_person_widens_an_opt_out(tmp_path: Path) -> None:
    (tmp_path / "s-bounces-and-optouts.csv").write_text(
        "email,topic,reason\na@x.example,news,opted out before the bounceback\n"
    )
    listed = [
        Suppression("b@x.example", "news", "unsubscribe", source, NOW)
        for source in ("run hello/bounceback", "bounces-and-optouts.csv", "complain@desk", "bounce@host")
    ]
    assert read(tmp_path, topic="news", kind="transactional", listed=listed)[0] == {}
    assert set(read(tmp_path, topic="news", listed=listed)[0]) == {"a@x.example", "b@x.example"}


def test_empty_list_suppresses_no_address(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("email,reason\n")
    assert read(tmp_path) == ({}, [])


def test_no_files_suppress_nobody(tmp_path: Path) -> None:
    assert read(tmp_path, files=()) == ({}, [])


def test_a_bounce_applies_whatever_its_topic(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(
        "email,topic,reason\n"
        "a@x.example,surveys,hard bounce\nb@x.example,surveys,Complaint\nc@x.example,surveys,opt-out\n"
    )
    campaigns: list[dict[str, Any]] = [{"topic": "newsletter"}, {}, {"topic": "newsletter", "kind": "transactional"}]
    for options in campaigns:
        assert set(read(tmp_path, **options)[0]) == {"a@x.example", "b@x.example"}


def test_the_ledgers_own_list_applies_like_a_file(tmp_path: Path) -> None:
    listed = [
        Suppression("a@x.example", "", "bounce", "event 17", NOW),
        Suppression("b@x.example", "newsletter", "unsubscribe", "link", NOW),
        Suppression("c@x.example", "surveys", "unsubscribe", "link", NOW),
    ]
    assert read(tmp_path, files=(), topic="newsletter", listed=listed)[0] == {
        "a@x.example": "the ledger: bounce, event 17",
        "b@x.example": "the ledger: unsubscribe, link",
    }
    assert set(read(tmp_path, files=(), kind="transactional", listed=listed)[0]) == {"a@x.example"}


def test_entries_are_the_same_however_they_are_divided(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("email\n" + "".join(f"user{n}@x.example\n" for n in range(500)))
    assert read(tmp_path, bits=4)[0] == read(tmp_path, bits=0)[0]


@pytest.mark.parametrize(
    "write",
    [
        lambda frame, path: frame.write_parquet(path.with_suffix(".parquet")),
        lambda frame, path: frame.write_ipc(path.with_suffix(".arrow")),
        lambda frame, path: frame.write_ndjson(path.with_suffix(".ndjson")),
        lambda frame, path: frame.write_csv(path.with_suffix(".txt"), separator="|"),
        lambda frame, path: frame.write_excel(path.with_suffix(".xlsx")),
        lambda frame, path: path.with_suffix(".csv").write_bytes(frame.write_csv().encode("utf-16")),
    ],
)
def test_a_file_is_of_any_format_that_an_audience_may_have(write: object, tmp_path: Path) -> None:
    frame = pl.DataFrame({"n": [1], "Email": ["Ann@x.example"], "reason": ["bounced"], "topic": [None]})
    write(frame.cast({"topic": pl.String}), tmp_path / "s")  # type: ignore[operator]
    ((key, source),) = read(tmp_path)[0].items()
    assert (key, source.endswith(": bounced")) == ("ann@x.example", True)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b"name,city\nAnn,Bath\n", "has no column of addresses"),
        (b"email,reason\na@x.example,bounced\nb@x.example\n", r"the row has 1 fields.*\(s\.csv, line 3\)"),
        (b'email\n"a@x.example\n', "a quote is opened and not closed"),
        (b"email,n\na@x.example,\xc3\xbc\nb@x.example,\xc3\xbc\nc@x.example,\xff\n", r"not a character .*line 4"),
    ],
)
def test_a_file_that_cannot_be_read_with_certainty_stops_the_plan(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes(data)
    with pytest.raises(DataError, match=words):
        read(tmp_path)


def test_a_damaged_parquet_file_stops_the_plan(tmp_path: Path) -> None:
    (tmp_path / "s.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(DataError, match="the file cannot be read"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["gone.csv", "gone*.csv"])
def test_a_missing_file_stops_the_plan(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(there is no file|no file matches) gone"):
        read(tmp_path, files=(name,))
