"""`[audience] where`: SQL on columns that have types, and on CSV, which has none."""

from datetime import date

import polars as pl
import pytest

from engine.audience.conditions import columns_in, rows_that_meet
from engine.errors import DataError

CSV = pl.DataFrame(
    {
        "country": ["VN", "DE", None, "VN"],
        "points": ["5", "200", "300", None],
        "score": ["0.5", "1e3", "-2", " "],
        "zip": ["01234", "10115", "7", "8"],
        "member": ["true", "False", "TRUE", ""],
        "mixed": ["1", "n/a", "3", "4"],
        "since": ["2024-01-31", "2025-06-01", None, "2025-01-01"],
        "huge": ["1", "99999999999999999999", "3", "4"],
    },
    schema_overrides={"huge": pl.String},
)


@pytest.mark.parametrize(
    ("where", "met"),
    [
        ("points > 100", [False, True, True, False]),
        ("points BETWEEN 5 AND 200 AND country IN ('VN', 'DE')", [True, True, False, False]),
        ("country = 'VN' OR points = 300", [True, False, True, True]),
        ("score < 1", [True, False, True, False]),
        ("zip = '01234'", [True, False, False, False]),
        ("member", [True, False, True, False]),
        ("member = true", [True, False, True, False]),
        ("NOT member", [False, True, False, False]),
        ("since >= '2025-01-01'", [False, True, False, True]),
        ("country IS NULL", [False, False, True, False]),
        ("country LIKE 'V%' -- from there", [True, False, False, True]),
        ("lower(country) = 'vn'", [True, False, False, True]),
        ("points = '200'", [False, True, False, False]),
        ("CAST(zip AS INTEGER) = 1234", [True, False, False, False]),
        ("mixed = 'n/a'", [False, True, False, False]),
        ("1 = 1", [True, True, True, True]),
        ("null", [False, False, False, False]),
        ("points > AVG(points)", [False, True, True, False]),
        ("COUNT(points) = 3", [True, True, True, True]),
    ],
)
def test_csv_columns_are_numbers_or_booleans_when_every_cell_is_written_so(where: str, met: list[bool]) -> None:
    assert rows_that_meet(where, CSV, untyped=True).to_list() == met


def test_typed_columns_keep_their_types() -> None:
    cells = pl.DataFrame({"n": [1, 2], "text": ["1", "2"], "day": [date(2024, 1, 1), date(2025, 1, 1)]})
    assert rows_that_meet("n > 1", cells, untyped=False).to_list() == [False, True]
    assert rows_that_meet("text = '1'", cells, untyped=False).to_list() == [True, False]
    assert rows_that_meet("day < DATE '2024-06-01'", cells, untyped=False).to_list() == [True, False]
    with pytest.raises(DataError, match="does not fit the audience"):
        rows_that_meet("text > 1", cells, untyped=False)


def test_a_blank_column_is_null_to_any_comparison() -> None:
    cells = pl.DataFrame({"empty": [None, " "]}, schema={"empty": pl.String})
    for where in ("empty > 1", "empty = 'x'", "lower(empty) = 'x'", "NOT empty"):
        assert rows_that_meet(where, cells, untyped=True).to_list() == [False, False]
    assert rows_that_meet("empty IS NULL", cells, untyped=True).to_list() == [True, True]


def test_a_query_inside_a_condition_is_refused() -> None:
    with pytest.raises(DataError, match="does not fit the audience: EXISTS"):
        rows_that_meet("EXISTS (SELECT 1)", CSV, untyped=True)


def test_a_condition_on_no_rows_is_met_by_none() -> None:
    assert rows_that_meet("points > 1", CSV.clear(), untyped=True).len() == 0
    assert rows_that_meet("1 = 1", CSV.clear(), untyped=True).len() == 0


def test_one_cell_that_is_no_number_is_named_when_numbers_are_asked_for() -> None:
    with pytest.raises(DataError, match=r"mixed > 2: .* mixed is text, for example 'n/a'"):
        rows_that_meet("mixed > 2", CSV, untyped=True)


def test_a_number_too_large_for_an_integer_is_a_decimal() -> None:
    assert rows_that_meet("huge > 3", CSV, untyped=True).to_list() == [False, True, False, True]


@pytest.mark.parametrize("where", ["points >", "points > 1 garbage", "a b c", ") (", "points > 1; x", ""])
def test_what_is_not_sql_is_refused_with_the_text(where: str) -> None:
    with pytest.raises(DataError) as caught:
        columns_in(where, CSV.columns)
    assert caught.value.what == f"[audience] where is not an SQL condition: {where}"
    assert caught.value.where == "campaign.toml, [audience] where"


@pytest.mark.parametrize("where", ["points + 1", "country", "'x'"])
def test_a_value_is_not_a_condition(where: str) -> None:
    with pytest.raises(DataError, match="and not a condition"):
        rows_that_meet(where, CSV, untyped=True)


def test_a_condition_names_the_columns_it_uses() -> None:
    assert columns_in("points > 1 AND country = 'x' OR points IS NULL", CSV.columns) == {"points", "country"}


def test_an_unknown_column_is_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match=r"names the column pointz, .* did you mean points\?"):
        columns_in("pointz > 1", CSV.columns)


def test_double_quotes_around_a_value_are_explained() -> None:
    with pytest.raises(DataError, match="write it in single quotes: 'VN'"):
        columns_in('country = "VN"', CSV.columns)
