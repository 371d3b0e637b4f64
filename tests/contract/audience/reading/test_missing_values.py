"""A missing value is missing by whatever name a format has for it."""

from collections.abc import Callable
from math import isnan
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.plans import all_excluded, plan, read_file, recipients

NAN = float("nan")
PEOPLE = pl.DataFrame(
    {
        "email": ["ann@example.com", "bob@example.com", "cy@example.com", "di@example.com"],
        "points": [1200.0, NAN, None, 5.0],
    }
)
WRITERS: dict[str, Callable[[Path], Any]] = {
    "a.parquet": PEOPLE.write_parquet,
    "b.arrow": PEOPLE.write_ipc,
    "c.arrows": PEOPLE.write_ipc_stream,
    "d.ndjson": lambda path: path.write_text(
        "".join(
            f'{{"email": "{email}", "points": {"null" if points is None else "NaN" if isnan(points) else points}}}\n'
            for email, points in PEOPLE.rows()
        )
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_nan_is_null_in_every_format(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    assert read_file(tmp_path / name)[1]["points"].to_list() == [1200.0, None, None, 5.0]


@pytest.mark.parametrize("name", WRITERS)
def test_nan_meets_no_condition_has_a_default_and_is_not_what_is_required(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    plan(tmp_path, source=name, where="points > 1000")
    assert recipients(tmp_path)["address"].to_list() == ["ann@example.com"]
    plan(tmp_path, source=name, where="points IS NULL", defaults={"points": 0.0})
    assert recipients(tmp_path).sort("row").select("row", "points").rows() == [(2, 0.0), (3, 0.0)]
    plan(tmp_path, source=name, required=["points"])
    assert all_excluded(tmp_path).select("row", "reason").rows() == [(2, "missing_data"), (3, "missing_data")]
    plan(tmp_path, source=name, order_by="points desc")
    assert recipients(tmp_path)["row"].to_list()[:2] == [1, 4]


def test_nan_inside_lists_and_structs_is_null(tmp_path: Path) -> None:
    nested = {"a": NAN, "list": [1.0, NAN], "deep": [{"x": NAN, "name": "n"}]}
    frame = pl.DataFrame(
        {"email": ["x@a.example", "y@a.example"], "order": [nested, None], "prices": [[NAN, 2.0], None]}
    )
    frame = frame.with_columns(pair=pl.Series([[NAN, 1.0], None], dtype=pl.Array(pl.Float32, 2)))
    frame.write_parquet(tmp_path / "a.parquet")
    rows = read_file(tmp_path / "a.parquet")[1].rows()
    whole = {"a": None, "list": [1.0, None], "deep": [{"x": None, "name": "n"}]}
    assert rows == [("x@a.example", whole, [None, 2.0], [None, 1.0]), ("y@a.example", None, None, None)]


def test_nan_does_not_become_text_where_types_meet(tmp_path: Path) -> None:
    PEOPLE.write_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text("email,points\neve@example.com,7\n")
    plan(tmp_path, source="?.*")
    assert recipients(tmp_path).sort("row")["points"].to_list() == ["1200.0", None, None, "5.0", "7"]


@pytest.mark.parametrize("spelling", ["nan", "NaN", "NULL", "\\N", "None", "#N/A", "(null)"])
def test_a_text_for_nothing_does_not_make_numbers_text(spelling: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(f"email,points\na@x.example,1200\nb@x.example,{spelling}\nc@x.example,\n")
    plan(tmp_path, where="points > 1000")
    assert recipients(tmp_path)["row"].to_list() == [1]
    plan(tmp_path, where="points IS NULL")
    assert sorted(recipients(tmp_path)["row"]) == [2, 3]


@pytest.mark.parametrize(
    ("value", "fault"), [("Infinity", "it is not valid JSON: unexpected character"), ("nan", "it is not valid JSON")]
)
def test_what_json_has_no_word_for_is_a_malformed_row(value: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text(f'{{"email":"a@x.example","n":1}}\n{{"email":"b@x.example","n":{value}}}\n')
    assert plan(tmp_path, source="a.ndjson").excluded == {"malformed_row": 1}
    assert all_excluded(tmp_path)["detail"].item().startswith(fault[:13])
