"""Finding the audience's files, and reading them as one table."""

import os
from pathlib import Path

import polars as pl
import pytest

from engine.audience.sources import find_sources, read_columns, read_rows
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


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].csv").write_text("email\n")
    assert find_sources("a[1].csv", tmp_path)[0].name == "a[1].csv"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("subscriber.csv", "there is no file subscriber.csv .*; in that folder there is: subscribers.csv"),
        ("zzz", "in that folder there is: subscribers.csv"),
        ("nowhere/a.csv", "there is no folder .*nowhere"),
        ("*.parquet", r"no file matches \*\.parquet"),
        ("list.txt", "the format .txt is not supported .*; write it as one of: .csv, .tsv, .parquet"),
        ("list.*", "the format .txt is not supported"),
        ("s3://bucket/list.csv", "s3://bucket/list.csv is not a file"),
    ],
)
def test_what_is_not_there_or_not_readable_is_refused_with_what_there_is(
    source: str, words: str, tmp_path: Path
) -> None:
    write(tmp_path, subscribers_csv="email\n", list_txt="email\n")
    with pytest.raises(DataError, match=words):
        find_sources(source, tmp_path)


def test_the_rows_of_all_sources_are_numbered_through_and_keep_their_lines(tmp_path: Path) -> None:
    write(tmp_path, a_csv="email,n\nx,1\n\ny,2\n", b_csv="n;email\n3;z\n4\n", c_tsv="email\tn\nw\t5\n")
    rows = read_rows(find_sources("*.?sv", tmp_path), {"n", "email"})
    assert rows.places.select("row", "file", "line").rows() == [
        (1, "a.csv", 2),
        (2, "a.csv", 4),
        (3, "b.csv", 2),
        (4, "b.csv", 3),
        (5, "c.tsv", 2),
    ]
    assert rows.cells.rows() == [("x", "1"), ("y", "2"), ("z", "3"), (None, None), ("w", "5")]
    assert rows.places.get_column("malformed").is_not_null().to_list() == [False, False, False, True, False]


def test_only_the_columns_asked_for_are_read(tmp_path: Path) -> None:
    write(tmp_path, a_csv="a,b,c\n1,2,3\n")
    assert read_rows(find_sources("a.csv", tmp_path), {"c", "a"}).cells.columns == ["a", "c"]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    pl.DataFrame({"email": ["x"], "points": [3], "tags": [["a"]]}).write_parquet(tmp_path / "a.parquet")
    rows = read_rows(find_sources("a.parquet", tmp_path), {"email", "points", "tags"})
    assert rows.cells.dtypes == [pl.String, pl.Int64, pl.List(pl.String)]
    assert rows.places.rows() == [("a.parquet", 1, None, 1)]


def test_columns_are_read_without_the_rows(tmp_path: Path) -> None:
    pl.DataFrame({"email": ["x"], "n": [3]}).write_parquet(tmp_path / "a.parquet")
    write(tmp_path, b_csv="n,email\n\xff")
    assert read_columns(find_sources("a.parquet", tmp_path)) == ("email", "n")
    assert read_columns(find_sources("?.*", tmp_path)) == ("email", "n")


def test_files_with_other_columns_are_no_one_audience(tmp_path: Path) -> None:
    write(tmp_path, a_csv="email,n\n", b_csv="email,m\n")
    with pytest.raises(DataError, match=r"b\.csv and a\.csv do not have the same columns: m, n"):
        read_columns(find_sources("*.csv", tmp_path))


@pytest.mark.parametrize("name", ["*", "^e.*$"])
def test_a_column_whose_name_means_many_columns_is_refused(name: str, tmp_path: Path) -> None:
    write(tmp_path, a_csv=f"email,{name}\n")
    with pytest.raises(DataError, match="cannot be told from a pattern"):
        read_columns(find_sources("a.csv", tmp_path))


def test_files_with_other_types_are_no_one_audience(tmp_path: Path) -> None:
    pl.DataFrame({"email": ["x"], "n": [[3]]}).write_parquet(tmp_path / "a.parquet")
    write(tmp_path, b_csv="email,n\ny,4\n")
    with pytest.raises(DataError, match="types differ"):
        read_rows(find_sources("?.*", tmp_path), {"email", "n"})


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"email": ["x"] * 1000}).write_parquet(tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:-20])
    with pytest.raises(DataError, match=r"the file cannot be read: .*\(a\.parquet\)"):
        read_columns(find_sources("a.parquet", tmp_path))


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    write(tmp_path, a_csv="email\nx\n")
    sources = find_sources("a.csv", tmp_path)
    os.utime(tmp_path / "a.csv", ns=(1, 1))
    with pytest.raises(DataError, match="the file was changed while the audience was planned"):
        read_rows(sources, {"email"})


def test_a_file_that_vanishes_meanwhile_is_refused(tmp_path: Path) -> None:
    write(tmp_path, a_csv="email\nx\n")
    sources = find_sources("a.csv", tmp_path)
    (tmp_path / "a.csv").unlink()
    with pytest.raises(DataError, match="the file cannot be read"):
        read_rows(sources, {"email"})
