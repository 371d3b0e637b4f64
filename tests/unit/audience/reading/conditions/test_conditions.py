"""`[audience] where`: SQL on columns that have types, and on CSV, which has none."""

from datetime import date

import polars as pl
import pytest

from engine.audience.reading.conditions.conditions import columns_in, rows_that_meet
from engine.audience.reading.types import ColumnTypes
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


def meet(where: str, cells: pl.DataFrame, *, are_text: bool = True) -> pl.Series:
    return rows_that_meet(where, cells, ColumnTypes(columns_in(where, cells.columns), are_text=are_text))


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
    ],
)
def test_csv_columns_are_numbers_or_booleans_when_every_cell_is_written_so(where: str, met: list[bool]) -> None:
    assert meet(where, CSV).to_list() == met


def test_typed_columns_keep_their_types() -> None:
    cells = pl.DataFrame({"n": [1, 2], "text": ["1", "2"], "day": [date(2024, 1, 1), date(2025, 1, 1)]})
    assert meet("n > 1", cells, are_text=False).to_list() == [False, True]
    assert meet("text = '1'", cells, are_text=False).to_list() == [True, False]
    assert meet("day < DATE '2024-06-01'", cells, are_text=False).to_list() == [True, False]
    with pytest.raises(DataError, match="does not fit the audience"):
        meet("text > 1", cells, are_text=False)


def test_a_blank_column_is_null_to_any_comparison() -> None:
    cells = pl.DataFrame({"empty": [None, " "]}, schema={"empty": pl.String})
    for where in ("empty > 1", "empty = 'x'", "lower(empty) = 'x'", "NOT empty"):
        assert meet(where, cells).to_list() == [False, False]
    assert meet("empty IS NULL", cells).to_list() == [True, True]


@pytest.mark.parametrize(
    "where",
    [
        "points > AVG(points)",
        "COUNT(*) > 3",
        "FIRST(points) = 5",
        "ROW_NUMBER() OVER (ORDER BY points) < 10",
        "LAG(points) OVER (ORDER BY points) > 1",
        "EXISTS (SELECT 1)",
    ],
)
def test_a_condition_that_looks_beyond_its_row_is_refused(where: str) -> None:
    with pytest.raises(DataError, match="uses more than one row at a time"):
        columns_in(where, CSV.columns)


def test_a_condition_on_no_rows_is_met_by_none() -> None:
    assert meet("points > 1", CSV.clear()).len() == 0
    assert meet("1 = 1", CSV.clear()).len() == 0


def test_cell_that_is_not_a_number_is_named_when_numbers_are_needed() -> None:
    with pytest.raises(DataError, match=r"mixed > 2: .* mixed is text, for example 'n/a'"):
        meet("mixed > 2", CSV)


@pytest.mark.parametrize(
    "where", ["CAST(day AS DATE) > CURRENT_DATE", "day::date > CURRENT_DATE", "day > CURRENT_DATE"]
)
def test_remedy_for_a_date_condition_works(where: str) -> None:
    cells = pl.DataFrame({"day": ["2024-01-01", "2024-12-31", ""]})
    with pytest.raises(DataError) as raised:
        meet(where, cells)
    assert "DATE(NULLIF(joined, ''))" in str(raised.value.remedy)
    assert meet("DATE(NULLIF(day, '')) > DATE '2024-06-30' - INTERVAL '30 days'", cells).to_list() == [
        False,
        True,
        False,
    ]
    assert meet("day >= '2024-06-30'", cells).to_list() == [False, True, False]


def test_a_number_too_large_for_an_integer_is_a_decimal() -> None:
    assert meet("huge > 3", CSV).to_list() == [False, True, False, True]


@pytest.mark.parametrize(
    ("where", "line", "column"),
    [
        ("points >", 1, 9),
        ("points > 1 garbage", 1, 12),
        ("country = 'VN' ADN points > 1", 1, 16),
        ("a b c", 1, 3),
        (") (", 1, 1),
        ("points > 1; x", 1, 11),
        ("country = 'VN", 1, 11),
        ("points > 1 AND\n  country == = 'VN'", 2, 14),
    ],
)
def test_invalid_sql_is_refused_with_its_place(where: str, line: int, column: int) -> None:
    with pytest.raises(DataError) as caught:
        columns_in(where, CSV.columns)
    said = caught.value.what.split("\n")
    assert said[0] == "[audience] where is not an SQL condition:"
    assert said[line + 1] == "   " + " " * (column - 1) + "^"
    assert said[line] == "   " + where.split("\n")[line - 1]
    assert caught.value.where == f"campaign.toml, [audience] where, line {line}, column {column} of the condition"


@pytest.mark.parametrize("where", ["points + 1", "country", "'x'"])
def test_a_value_is_not_a_condition(where: str) -> None:
    with pytest.raises(DataError, match="not true or false"):
        meet(where, CSV)


def test_a_condition_names_the_columns_it_uses() -> None:
    assert columns_in("points > 1 AND country = 'x' OR points IS NULL", CSV.columns) == {"points", "country"}


def test_an_unknown_column_is_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match=r"names the column pointz, .* did you mean points\?"):
        columns_in("pointz > 1", CSV.columns)


def test_double_quotes_around_a_value_are_explained() -> None:
    with pytest.raises(DataError, match="write it in single quotes: 'VN'"):
        columns_in('country = "VN"', CSV.columns)
