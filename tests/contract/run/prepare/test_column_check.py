"""The findings about the plan's values before a launch."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.campaigns import TOML, write_campaign

from engine.audience.planning.plan_files import recipients_file, stored_name
from engine.campaign.content.templates import compile_content
from engine.run.prepare.column_check import check_columns


def check(
    folder: Path, cells: dict[str, Any], *, template: str = "Hi", toml: str = TOML, content: str = ""
) -> list[str]:
    """Plan some cells, check them, and return each finding with its count and first row."""
    campaign = write_campaign(folder, {"b.j2": template}, f'text = "b.j2"\n{content}', toml=toml)
    plan = folder / "plan"
    plan.mkdir(exist_ok=True)
    frame = pl.DataFrame({stored_name(name): column for name, column in cells.items()})
    frame.with_row_index("row", offset=1).write_parquet(plan / recipients_file(0))
    found = check_columns(compile_content(campaign), folder, tuple(cells))
    return [f"{one.severity} {one.what}: {found.counts[one]} from row {found.rows[one]}" for one in found]


def null_texts(folder: Path, *cells: str | None) -> list[str]:
    found = check(folder, {"name": list(cells)}, template="Dear {{ name }}")
    return [one.partition('"')[2].partition('"')[0] for one in found]


def test_null_texts_are_counted_by_column_and_text(tmp_path: Path) -> None:
    cells = {"name": ["Ann", "NULL", "NULL ", r"\N", None, "Bob"], "unread": ["NULL"] * 6}
    assert check(tmp_path, cells, template="Dear {{ name }}") == [
        'warning name has the text "NULL" as its value, which means an empty value in most exports: 2 from row 2',
        r'warning name has the text "\N" as its value, which means an empty value in most exports: 1 from row 4',
    ]


@pytest.mark.parametrize(
    "text",
    [
        "NULL",
        r"\N",
        "N/A",
        "#N/A",
        "None",
        "nan",
        "NaN",
        "NaT",
        "undefined",
        "(null)",
        "-",
        "null",
        "<NA>",
        "n/a",
        "#REF!",
    ],
)
def test_null_texts_are_reported_among_names(tmp_path: Path, text: str) -> None:
    assert null_texts(tmp_path, "Ann", "Bob", "Cy", text) == [text]


@pytest.mark.parametrize(
    "cells",
    [
        ["Miller", "Null", "None-Smith", "Nan", "Na", "Nil"],  # names
        ["SMITH", "NULL", "O'BRIEN"],  # a surname among capitals
        ["basic", "none", "pro", "null"],  # values of a list
        ["DE", "NA", "FR"],  # Namibia
        ["nullable", "N/A-1", "un-defined", "-5"],
    ],
)
def test_null_texts_are_not_seen_in_names_and_codes(tmp_path: Path, cells: list[str]) -> None:
    assert null_texts(tmp_path, *cells) == []


def test_null_texts_are_found_in_fields_and_in_renamed_columns(tmp_path: Path) -> None:
    cells = {"order": [{"note": "N/A", "n": 1}, {"note": "x", "n": 2}], "address": ["N/A", "Main St"]}
    found = check(tmp_path, cells, template="{{ order.note }} {{ address }}")
    assert [one.split()[1] for one in found] == ["order.note", "address"]


ZONED = TOML.replace("[content]", '[window]\nfrom = "09:00"\nto = "20:00"\ntimezone = "column:tz"\n[content]')


def test_invalid_time_zones_are_errors_with_value_count_and_row(tmp_path: Path) -> None:
    zones = ["Europe/Berlin", " asia/tokyo ", "W. Europe Standard Time", "UTC+2", "UTC+2", None, " ", "Etc/Unknown"]
    assert check(tmp_path, {"tz": zones}, toml=ZONED) == [
        'error tz has "UTC+2", which is not a time zone: 2 from row 4',
        "error tz is empty, and every recipient needs a time zone: 2 from row 6",
        'error tz has "Etc/Unknown", which is not a time zone: 1 from row 8',
    ]


def test_time_zones_are_reported_up_to_a_bound(tmp_path: Path) -> None:
    found = check(tmp_path, {"tz": [f"zone {number}" for number in range(500)]}, toml=ZONED)
    assert len(found) == 21
    assert "480 from row 21" in next(one for one in found if "480 more values" in one)


def test_time_zones_are_kept_up_to_a_bound(tmp_path: Path) -> None:
    found = check(tmp_path, {"tz": [f"zone {number}" for number in range(3000)]}, toml=ZONED)
    assert sum(int(one.rpartition(": ")[2].partition(" ")[0]) for one in found) == 3000


def test_invalid_locales_are_warnings(tmp_path: Path) -> None:
    locales = ["fr_FR.UTF-8", "english", "english", None, "fr,en;q=0.5", "US"]
    found = check(tmp_path, {"lang": locales}, content='locale = "lang"')
    assert found == [
        'warning lang has "english", which is not a known locale: 2 from row 2',
        'warning lang has "US", which is not a known locale: 1 from row 6',
    ]
