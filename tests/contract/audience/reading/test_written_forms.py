"""Dates and numbers are read as the audience writes them."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter
from support.plans import all_excluded, plan, recipients

from engine.audience.reading.date_formats import read_date_format
from engine.errors import DataError


def read_values(folder: Path, values: list[str], **options: Any) -> list[str | None]:
    """The values of the column `v` as the plan has them."""
    pl.DataFrame({"email": [f"a{n}@x.example" for n in range(len(values))], "v": values}).write_csv(folder / "list.csv")
    plan(folder, **options)
    return recipients(folder).sort("row")["v"].to_list()


@pytest.mark.parametrize(
    ("written", "value", "read"),
    [
        ("dd/mm/yyyy", "31/12/2024", "2024-12-31"),
        ("d.m.yyyy", " 1.2.2024 ", "2024-02-01"),
        ("MM/DD/YY", "12/31/24", "2024-12-31"),
        ("dd mmm yyyy", "05 Mar 2024", "2024-03-05"),
        ("yyyymmdd", "20241231", "2024-12-31"),
        ("dd.mm.yyyy hh:mm", "31.12.2024 09:05", "2024-12-31 09:05:00"),
        ("%m/%d/%Y %I:%M %p", "12/31/2024 10:05 PM", "2024-12-31 22:05:00"),
        ("mm/dd/yyyy hh:mm am/pm", "12/31/2024 10:05 PM", "2024-12-31 22:05:00"),
        ("dd/mm/yyyy", "2024-12-31", "2024-12-31"),
        ("dd/mm/yyyy", "", None),
    ],
)
@pytest.mark.parametrize("is_own", [False, True])
def test_dates_are_read_as_the_setting_says(written: str, value: str, read: str, is_own: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    setting = {"v": written} if is_own else written
    assert read_values(tmp_path, [value, value], date_format=setting) == [read, read]


@pytest.mark.parametrize(
    ("mark", "value", "read"),
    [
        (",", "1.234,50", "1234.50"),
        (",", "-1 234 567,5", "-1234567.5"),
        (",", "1\u202f234,5", "1234.5"),
        (",", "0,5", "0.5"),
        (",", "1.234", "1234"),
        (",", "12", "12"),
        (".", "1,234,567.5", "1234567.5"),
        (".", "1,234", "1234"),
        (".", "1'234.5", "1234.5"),
        (".", "0.5", "0.5"),
    ],
)
@pytest.mark.parametrize("is_own", [False, True])
def test_numbers_are_read_as_the_setting_says(mark: str, value: str, read: str, is_own: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    assert read_values(tmp_path, [value, "7"], decimal={"v": mark} if is_own else mark) == [read, "7"]


@pytest.mark.parametrize("value", ["Ann, Bob", "+84 90 123 456", "030 123 456", "1.2.3", "12,34,56", "a,5", "01234"])
def test_a_setting_for_all_columns_leaves_other_texts_alone(value: str, tmp_path: Path) -> None:
    options = {"decimal": ",", "date_format": "dd.mm.yyyy"}
    assert read_values(tmp_path, [value, "31.12.2024", "1,5"], **options) == [value, "2024-12-31", "1.5"]


@pytest.mark.parametrize(
    ("setting", "values", "first", "count"),
    [
        ({"date_format": {"v": "dd/mm/yyyy"}}, ["31/12/2024", "12/31/2024", "", "NULL", "01/02/24"], "'12/31/2024'", 2),
        ({"decimal": {"v": ","}}, ["1,5", "many", "1.23"], "'many'", 2),
    ],
)
def test_value_in_another_format_is_reported_once_for_its_column(
    setting: dict[str, Any], values: list[str], first: str, count: int, tmp_path: Path
) -> None:
    ((key, columns),) = setting.items()
    with pytest.raises(DataError) as caught:
        read_values(tmp_path, values, **setting)
    what = f'the column v is not in the format {key} = "{columns["v"]}"'
    assert caught.value.what == f"{what}: {count} values differ, the first is {first}"
    assert caught.value.where == f"list.csv, line 3; campaign.toml, [audience] {key}"
    read_values(tmp_path, values, lenient=True, **setting)
    excluded = all_excluded(tmp_path).select("reason", "detail").unique().rows()
    assert excluded == [("malformed_row", what)]
    assert all_excluded(tmp_path).height == count


def test_conditions_see_what_was_read(tmp_path: Path) -> None:
    read = read_values(tmp_path, ["1.000,5", "999"], decimal=",", where="v > 1000")
    assert read == ["1000.5"]


def test_numbers_of_a_workbook_keep_their_point(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        sheet = book.add_worksheet()
        for row, value in enumerate(["v", 1.234, "1.234,5", 7]):
            sheet.write(row, 0, "email" if row == 0 else f"a{row}@x.example")
            sheet.write(row, 1, value)
    for setting in (",", {"v": ","}):
        plan(tmp_path, source="a.xlsx", decimal=setting)
        assert recipients(tmp_path).sort("row")["v"].to_list() == ["1.234", "1234.5", "7"]


def test_typed_columns_stay_as_they_are(tmp_path: Path) -> None:
    pl.DataFrame({"email": ["a@x.example"], "v": [1.5], "d": [None]}, schema_overrides={"d": pl.Date}).write_parquet(
        tmp_path / "a.parquet"
    )
    plan(tmp_path, source="a.parquet", decimal={"v": ","}, date_format="dd.mm.yyyy")
    assert recipients(tmp_path)["v"].to_list() == [1.5]


def test_missing_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\[audience.decimal\] names the column vv, .*did you mean v\?"):
        read_values(tmp_path, ["1,5"], decimal={"vv": ","})


@pytest.mark.parametrize("text", ["dd/mm", "day.month.year", "yyyy", "%H:%M", "dd.mm.yyyy q"])
def test_invalid_date_format_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"needs a day, a month and a year|has the unknown letter"):
        read_date_format(text)
