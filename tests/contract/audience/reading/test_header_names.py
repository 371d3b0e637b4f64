"""Columns are named as people see them, and as campaign.toml renames them; a title above the header is reported."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter
from support.plans import plan, read_file, recipients

from engine.audience.reading.header_names import clean_name, name_each_once
from engine.audience.spec import AudienceSpec
from engine.errors import DataError

PLAIN = ["email", "first name", "prénom"]
STRANGE = [
    ["\ufeffemail", "first\u00a0name", "pre\u0301nom"],
    ["email\u200b", "\u00a0first name", "\u2060prénom\u200e"],
    ["e\u00admail", "first\u3000name", "\u202aprénom\u202c"],
    [" email", "first\u2009name ", "pr\ufeffénom"],
]


@pytest.mark.parametrize("names", STRANGE)
@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet", "xlsx", "arrow"])
def test_a_name_has_no_invisible_marks_in_any_format(names: list[str], kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"list.{kind}"
    frame = pl.DataFrame([["ann@example.com", "Ann", "Anne"]], schema=names, orient="row")
    write = {"csv": frame.write_csv, "ndjson": frame.write_ndjson, "parquet": frame.write_parquet}
    (write | {"xlsx": frame.write_excel, "arrow": frame.write_ipc})[kind](path)  # type: ignore[operator]
    assert read_file(path)[1].columns == PLAIN
    plan(tmp_path, source=path.name, where="\"first name\" = 'Ann'", required=["prénom"])
    assert recipients(tmp_path).height == 1


@pytest.mark.parametrize("names", STRANGE)
def test_a_column_is_named_in_campaign_toml_as_it_was_copied(names: list[str], tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(",".join(names) + "\nann@example.com,Ann,\n")
    found = plan(
        tmp_path, address=names[0], where=f"\"{names[1]}\" = 'Ann'", defaults={names[2]: "x"}, required=[names[1]]
    )
    assert found.accepted == 1


def test_a_text_in_a_condition_stays_as_it_is() -> None:
    spec = AudienceSpec(source=("a",), where="\"a\u200b\" = 'it''s \"\u200b\" pre\u0301'")
    assert spec.where == "\"a\" = 'it''s \"\u200b\" pre\u0301'"


def test_joiners_inside_a_word_and_emoji_are_seen() -> None:
    assert clean_name("हिन\u200cदी") == "हिन\u200cदी"
    assert clean_name("\u200cहिन\u200d") == "हिन"
    assert clean_name("a\u200cb ❤️") == "ab ❤️"


def test_visible_column_keeps_its_name_beside_a_hidden_namesake() -> None:
    named = name_each_once(["email", "email", ""], [True, False, False])
    assert (named.columns, named.twice, named.nameless) == (("email (2)", "email", "column_3"), (), ("column_3",))


def test_names_that_look_the_same_are_the_same_name_twice(tmp_path: Path) -> None:
    pl.DataFrame({"email": ["a@x.example"], "n": [1], "n\u200b": [2]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="the header has the column n twice, and the campaign uses it"):
        plan(tmp_path, source="a.parquet")
    plan(tmp_path, source="a.parquet", columns=frozenset(["n (2)"]))
    assert recipients(tmp_path)["n (2)"].to_list() == [2]


def rename(tmp_path: Path, columns: dict[str, str], **options: Any) -> pl.DataFrame:
    spec = AudienceSpec.model_validate({"source": "*.csv", "columns": columns, **options})
    plan(tmp_path, spec=spec)
    return recipients(tmp_path).sort("row")


def test_columns_are_renamed_by_campaign_toml(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("E-Mail,First name\na@x.example,Ann\n")
    (tmp_path / "b.csv").write_text("first_name,E-Mail\nBob,b@x.example\n")
    found = rename(tmp_path, {"email": "E-Mail", "first_name": "First name"}, where="first_name <> 'Eve'")
    assert found.select("address", "first_name").rows() == [("a@x.example", "Ann"), ("b@x.example", "Bob")]


def test_a_rename_may_be_written_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("E-Mail,First name\na@x.example,Ann\n")
    found = rename(tmp_path, {"E-Mail": "email", "First name": "first_name"})
    assert found.equals(rename(tmp_path, {"email": "E-Mail", "first_name": "First name"}))


def test_two_columns_may_change_their_names_with_one_another(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("email,a,b\na@x.example,1,2\n")
    assert rename(tmp_path, {"a": "b", "b": "a"}).select("a", "b").rows() == [("2", "1")]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"first": "Frist name"},
            r"names the column Frist name.*\[audience.columns\] first\); did you mean First name\?",
        ),
        ({"age": "First name"}, "another column has that name"),
    ],
)
def test_invalid_rename_is_refused(columns: dict[str, str], words: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("email,First name,age\na@x.example,Ann,3\n")
    with pytest.raises(DataError, match=words):
        rename(tmp_path, columns)


TITLED = 'Export of "all" readers\n\nat,5 March\nemail,name\nann@example.com,Ann\n'


def test_title_above_the_header_is_reported_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(TITLED)
    with pytest.raises(
        DataError, match=r"line 4 has a column of that name \(list.csv\); set header_row = 4 in \[audience\]"
    ):
        plan(tmp_path)
    found = plan(tmp_path, header_row=4)
    assert (found.rows_read, found.accepted) == (1, 1)
    assert recipients(tmp_path).select("line", "name").rows() == [(5, "Ann")]


def test_title_above_the_header_of_a_sheet_is_reported(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "list.xlsx") as book:
        sheet = book.add_worksheet()
        for row, values in {0: ["Readers"], 3: ["email", "name"], 4: ["ann@example.com", "Ann"]}.items():
            sheet.write_row(row, 0, values)
    with pytest.raises(DataError, match=r"line 4 has a column of that name .*set header_row = 4"):
        plan(tmp_path, source="list.xlsx")
    plan(tmp_path, source="list.xlsx", header_row=4)
    assert recipients(tmp_path).select("line", "name").rows() == [(5, "Ann")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("title", ["Readers of March", "Readers{0}{0}", "Readers{0}March{0}\n"])
def test_title_is_reported_when_the_address_has_another_name(title: str, delimiter: str, tmp_path: Path) -> None:
    rows = ["E-Mail{0}Name{0}City", "ann@example.com{0}Ann{0}Ulm", "bob@example.com{0}Bob{0}"]
    text = "\n".join([title, *rows, ""]).format(delimiter)
    (tmp_path / "list.csv").write_text(text)
    line = text.split("E-Mail")[0].count("\n") + 1
    with pytest.raises(DataError, match=rf"line {line} looks like the header \(list.csv\); set header_row = {line}"):
        plan(tmp_path)
    with xlsxwriter.Workbook(tmp_path / "list.xlsx") as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(text.split("\n")):
            sheet.write_row(number, 0, row.split(delimiter))
    with pytest.raises(DataError, match=rf"line {line} looks like the header \(list.xlsx\)"):
        plan(tmp_path, source="list.xlsx")


def test_no_title_is_reported_when_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("E-Mail,,City\nann@example.com,Ann,Ulm\n")
    with pytest.raises(DataError, match=r"the column E-Mail holds addresses"):
        plan(tmp_path)


@pytest.mark.parametrize("line", [2, 9])
def test_a_header_row_without_names_is_refused(line: int, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(TITLED)
    with pytest.raises(DataError, match=f"header_row = {line}, but that (line|row) is empty"):
        plan(tmp_path, header_row=line)


@pytest.mark.parametrize("mark", ["\x85", "\u2028", "\u2029", "\x1e"])
def test_lines_that_end_as_no_csv_file_does_are_refused(mark: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(f"email,name{mark}ann@example.com,Ann{mark}", newline="")
    with pytest.raises(DataError, match=r"the header has a line separator \(U\+.* LF or CR LF"):
        plan(tmp_path)
