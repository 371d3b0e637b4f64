"""Finding the audience's files, and reading them as one table."""

import os
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter
from support.plans import all_excluded, plan, read_file, recipients

from engine.audience.planning.opened_audience import open_audience
from engine.audience.reading.sources import Format, find_sources
from engine.audience.reading.tables import read_batches
from engine.audience.spec import AudienceSpec
from engine.errors import DataError


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)


def test_a_path_finds_its_file_under_its_name_in_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "audiences").mkdir()
    write(tmp_path / "audiences", a_csv="email\n")
    (source,) = find_sources("audiences/a.csv", tmp_path)
    assert (source.name, source.size_bytes) == ("audiences/a.csv", 6)
    assert source.mtime_ns == source.path.stat().st_mtime_ns


def test_an_absolute_path_is_shown_in_full_when_it_lies_elsewhere(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    write(tmp_path, a_csv="email\n")
    assert find_sources(str(tmp_path / "a.csv"), workspace)[0].name == str(tmp_path / "a.csv")
    assert find_sources(str(tmp_path / "*.csv"), workspace)[0].name == str(tmp_path / "a.csv")


def test_a_glob_finds_its_files_sorted_by_name(tmp_path: Path) -> None:
    write(tmp_path, b_csv="email\n", a_csv="email\n", c_tsv="email\n")
    (tmp_path / "folder.csv").mkdir()
    assert [source.name for source in find_sources("*.csv", tmp_path)] == ["a.csv", "b.csv"]


def test_a_folder_is_all_its_files_but_for_marks_of_other_programs(tmp_path: Path) -> None:
    (tmp_path / "day=1" / "_temporary").mkdir(parents=True)
    write(tmp_path, b_csv="email\n")
    write(tmp_path / "day=1", a_csv="email\n")
    for name in ("_SUCCESS", ".part.crc", "day=1/_temporary/x.csv"):
        (tmp_path / name).touch()
    assert [source.name for source in find_sources(".", tmp_path)] == ["b.csv", "day=1/a.csv"]


LEFTOVERS = ("~$a.xlsx", ".~lock.a.ods#", "desktop.ini", "Thumbs.db", "ehthumbs.db", ".DS_Store", "._a.csv", "a.csv~")


@pytest.mark.parametrize("source", ["lists", "lists/*", "lists/**/*"])
def test_what_other_programs_leave_beside_files_is_not_read(source: str, tmp_path: Path) -> None:
    (tmp_path / "lists" / "old").mkdir(parents=True)
    write(tmp_path / "lists", a_csv="email\na@x.example\n")
    for name in LEFTOVERS:
        (tmp_path / "lists" / name).write_bytes(b"\x05Ann\0")
        (tmp_path / "lists" / "old" / name).write_bytes(b"\x05Ann\0")
    assert [found.name for found in find_sources(source, tmp_path)] == ["lists/a.csv"]
    with pytest.raises(DataError, match="is a temporary file of another program, not data"):
        find_sources("lists/~$a.xlsx", tmp_path)


def test_several_places_make_one_audience_each_file_once(tmp_path: Path) -> None:
    write(tmp_path, a_csv="email\n", b_csv="email\n", c_tsv="email\n")
    assert [s.name for s in find_sources(["c.tsv", "*.csv", "b.csv"], tmp_path)] == ["c.tsv", "a.csv", "b.csv"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].csv").write_text("email\n")
    assert find_sources("a[1].csv", tmp_path)[0].name == "a[1].csv"


def test_a_file_is_what_it_begins_with_whatever_its_name(tmp_path: Path) -> None:
    frame = pl.DataFrame({"email": ["a@x.example"]})
    frame.write_parquet(tmp_path / "a.csv")
    frame.write_ipc(tmp_path / "b.csv")
    frame.write_excel(tmp_path / "c.csv")
    (tmp_path / "d.csv").write_text("email\na@x.example\n")
    formats = [source.format for source in find_sources("?.csv", tmp_path)]
    assert formats == [Format.PARQUET, Format.ARROW, Format.EXCEL, Format.CSV]
    assert [plan(tmp_path, source=f"{name}.csv").accepted for name in "abcd"] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("subscriber.csv", "there is no file subscriber.csv .*; that folder has: subscribers.csv"),
        ("zzz", "that folder has: subscribers.csv"),
        ("nowhere/a.csv", "there is no folder .*nowhere"),
        ("*.parquet", r"no file matches \*\.parquet"),
        ("list.pdf", "the format .pdf is not supported .*; write it as one of: CSV, TSV, NDJSON, Parquet"),
        ("list.*", "the format .pdf is not supported"),
        ("empty", "the folder empty has no files"),
        ("s3://bucket/list.csv", "s3://bucket/list.csv is not a file"),
    ],
)
def test_missing_or_unreadable_names_are_refused_with_those_that_exist(source: str, words: str, tmp_path: Path) -> None:
    write(tmp_path, subscribers_csv="email\n", list_pdf="email\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=words):
        find_sources(source, tmp_path)


def test_the_rows_of_all_sources_are_numbered_through_and_keep_their_lines(tmp_path: Path) -> None:
    write(
        tmp_path,
        a_csv="email,n\nx@a,1\n\ny@a.example,2\n",
        b_csv="n;email\n3;z@a.example\n4\n",
        c_tsv="email\tn\nw@a\t5\n",
    )
    found = plan(tmp_path, source="*.?sv")
    assert all_excluded(tmp_path).select("row", "file", "line", "reason").rows() == [
        (1, "a.csv", 2, "invalid_address"),
        (4, "b.csv", 3, "malformed_row"),
        (5, "c.tsv", 2, "invalid_address"),
    ]
    assert recipients(tmp_path).sort("row").select("row", "file", "line", "n").rows() == [
        (2, "a.csv", 4, "2"),
        (3, "b.csv", 2, "3"),
    ]
    assert found.rows_read == 5


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    pl.DataFrame({"email": ["x"], "points": [3], "tags": [["a"]]}).write_parquet(tmp_path / "a.parquet")
    places, cells = read_file(tmp_path / "a.parquet")
    assert cells.dtypes == [pl.String, pl.Int64, pl.List(pl.String)]
    assert places.rows() == [(1, None)]


def test_files_need_to_have_only_what_is_used_in_common(tmp_path: Path) -> None:
    write(tmp_path, a_csv="email,n,x\na@x.example,1,2\n", b_csv="m,email,n\n3,b@x.example,4\n")
    found = plan(tmp_path, source="*.csv", columns=frozenset(["n"]))
    assert (found.accepted, found.columns) == (2, ("n",))
    assert plan(tmp_path, source="*.csv").columns == ("email", "n")


def test_a_file_that_lacks_the_address_is_named(tmp_path: Path) -> None:
    write(tmp_path, a_csv="email,n\n", b_csv="mail,n\n")
    with pytest.raises(DataError, match=r"b\.csv has no column email, which a\.csv has .*did you mean mail\?"):
        plan(tmp_path, source="*.csv")


@pytest.mark.parametrize("name", ["*", "^e.*$"])
def test_a_column_whose_name_means_many_columns_is_refused(name: str, tmp_path: Path) -> None:
    write(tmp_path, a_csv=f"email,{name}\n")
    with pytest.raises(DataError, match="looks like a pattern"):
        plan(tmp_path, source="a.csv")


def test_files_whose_types_differ_meet_in_text(tmp_path: Path) -> None:
    pl.DataFrame({"email": ["x@a.example"], "n": [3]}).write_parquet(tmp_path / "a.parquet")
    write(tmp_path, b_csv="email,n\ny@a.example,04\n")
    plan(tmp_path, source="?.*")
    assert recipients(tmp_path).sort("row")["n"].to_list() == ["3", "04"]


def test_files_without_common_types_are_not_one_audience(tmp_path: Path) -> None:
    pl.DataFrame({"email": ["x"], "n": [{"a": 3}]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"email": ["x"], "n": [[3]]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match="the column n has different types in the files"):
        plan(tmp_path, source="?.*")
    assert plan(tmp_path, source="?.*", columns=frozenset()).rows_read == 2


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.xlsx"])
def test_a_damaged_file_is_refused(name: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"email": [f"user{n}@x.example" for n in range(1000)]})
    if name == "a.parquet":
        frame.write_parquet(tmp_path / name)
    elif name == "a.arrow":
        frame.write_ipc(tmp_path / name)
    else:
        frame.write_excel(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[:-20])
    with pytest.raises(DataError, match=rf"the file cannot be read: .*\({name}\)"):
        plan(tmp_path, source=name)


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    write(tmp_path, a_csv="email\nx\n")
    opened = open_audience(find_sources("a.csv", tmp_path), AudienceSpec(source=("a.csv",)))
    os.utime(tmp_path / "a.csv", ns=(1, 1))
    with pytest.raises(DataError, match="the file changed while the audience was planned"):
        list(read_batches(opened.tables, ["email"], opened.columns))


def test_a_file_that_vanishes_meanwhile_is_refused(tmp_path: Path) -> None:
    write(tmp_path, a_csv="email\nx\n")
    opened = open_audience(find_sources("a.csv", tmp_path), AudienceSpec(source=("a.csv",)))
    (tmp_path / "a.csv").unlink()
    with pytest.raises(DataError, match="the file cannot be read"):
        list(read_batches(opened.tables, ["email"], opened.columns))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"email":"a@x.example"}\n{"email":', r"the file ends in the middle of a line: it looks truncated .*line 2"),
        ('[{"email":"a@x.example"}]\n', "no JSON objects, one per line .*jq"),
        ("", "no JSON objects, one per line"),
    ],
)
def test_invalid_ndjson_is_refused(text: str, words: str, tmp_path: Path) -> None:
    write(tmp_path, a_ndjson=text)
    with pytest.raises(DataError, match=words):
        plan(tmp_path, source="a.ndjson")


MIXTURES = [(["1", "2", "[1]", "4"], 3), (["true", "1"], 2), (['{"a":1}', "7"], 2), (['{"a":1}', '{"a":[1]}'], 2)]


@pytest.mark.parametrize(("values", "line"), MIXTURES)
@pytest.mark.parametrize("block_bytes", [20, 1 << 20])
def test_json_values_of_unlike_types_are_reported_with_their_line(
    values: list[str], line: int, block_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.audience.reading.text_files.text_blocks.BLOCK_BYTES", block_bytes)
    monkeypatch.setattr("engine.audience.reading.text_files.text_encoding.READ_BYTES", block_bytes)
    lines = [f'{{"n":{value},"email":"a{n}@x.example","m":{n}}}\n' for n, value in enumerate(values)]
    write(tmp_path, a_ndjson="".join(lines))
    found = plan(tmp_path, source="a.ndjson", columns=frozenset(["m"]))
    what = "the values of the column n have no type in common with those before"
    assert found.accepted == len(values)
    assert [note.partition(", ")[0] for note in found.notes] == [f"a.ndjson: {what}"]
    with pytest.raises(DataError, match=rf"{what}, .*line {line}, and the campaign uses it"):
        plan(tmp_path, source="a.ndjson", where="n IS NULL")


def test_line_that_is_not_a_json_object_is_a_malformed_row(tmp_path: Path) -> None:
    write(tmp_path, a_jsonl='{"email":"a@x.example"}\n\nnonsense\n[1]\n{"n":5,"email":"b@x.example"}\n{"email":"c@x.e')
    assert plan(tmp_path, source="a.jsonl", lenient=True).excluded == {"malformed_row": 3}
    assert all_excluded(tmp_path).select("line", "detail").rows() == [
        (3, "it is not valid JSON: invalid literal, expected 'null'"),
        (4, "it is not a JSON object"),
        (6, "it is not valid JSON: unexpected end of data"),
    ]
    assert recipients(tmp_path).sort("row").select("line", "n").rows() == [(1, None), (5, 5)]


def test_workbook_reports_other_sheets_and_reads_the_named_one(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "list.xlsx") as book:
        for sheet, address in (("Readers", "a@x.example"), ("Old", "b@x.example")):
            pl.DataFrame({"email": [address], "points": [5]}).write_excel(book, sheet)
    found = plan(tmp_path, source="list.xlsx")
    assert found.notes == (
        'list.xlsx: the sheet Readers was read; there are also: Old (choose with [audience] sheet = "…")',
    )
    assert plan(tmp_path, source="list.xlsx", sheet="Old", where="points = 5").notes == ()
    assert recipients(tmp_path).select("address", "line", "points").rows() == [("b@x.example", 2, "5")]
    with pytest.raises(DataError, match=r"names old, which the workbook does not have .*did you mean Old\?"):
        plan(tmp_path, source="list.xlsx", sheet="old")


def test_blank_rows_of_a_sheet_are_skipped_and_count_as_lines(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "list.xlsx") as book:
        sheet = book.add_worksheet()
        for row, values in {2: ["email", "n"], 4: ["a@x.example", 1], 6: ["nobody", 2]}.items():
            sheet.write_row(row, 0, values)
    plan(tmp_path, source="list.xlsx")
    assert recipients(tmp_path)["line"].to_list() == [5]
    assert all_excluded(tmp_path)["line"].to_list() == [7]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc here")
@pytest.mark.parametrize("place", ["/proc/self/environ", "link.csv", "lin*.csv", "folder", "folder/../link.csv"])
def test_file_of_the_kernel_is_not_an_audience(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    for link in (tmp_path / "link.csv", tmp_path / "folder" / "link.csv"):
        link.symlink_to("/proc/self/environ")
    with pytest.raises(DataError, match="is a file of the operating system about processes or devices, not data"):
        find_sources(place, tmp_path)
