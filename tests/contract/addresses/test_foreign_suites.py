"""Our grammar of addresses against suites that others wrote: every deviation is in the table of the docs."""

import json
import os

import polars as pl
import pytest
from support.foreign import Case, is_fetched, read_cases
from support.paths import DOCS

from engine.addresses.parse import judge_addresses

TABLE = DOCS / "reference" / "addresses.md"
SUITES = {
    "Django",
    "JSON Schema email",
    "JSON Schema idn-email",
    "email-validator",
    "isemail",
    "marshmallow",
    "validators",
}
Deviation = tuple[str, str, str, str]


@pytest.fixture
def cases() -> list[Case]:
    if not is_fetched():
        words = "the test suites of other projects are missing: run `make setup` where a package index is reachable"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(words)
    return read_cases()


def find_deviations(cases: list[Case]) -> set[Deviation]:
    """Suite, address, their verdict, and ours (the parsed address, or its fault)."""
    judged = judge_addresses(pl.Series([case.text for case in cases], dtype=pl.String))
    pairs = zip(cases, judged.iter_rows(named=True), strict=True)
    return {
        (case.suite, case.text, "good" if case.is_good else "bad", said["address"] or said["fault"] or "blank")
        for case, said in pairs
        if (said["address"] is not None) != case.is_good
    }


def read_table() -> dict[Deviation, str]:
    """The table's deviations, and their reasons."""
    rows = [
        line.strip("|").split("|") for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")
    ]
    body = [[cell.strip() for cell in row] for row in rows if row[0].strip() in SUITES]
    return {(suite, json.loads(text.strip("`")), they, we.strip("`")): reason for suite, text, they, we, reason in body}


def test_every_deviation_from_foreign_suites_is_in_the_table(cases: list[Case]) -> None:
    table = read_table()
    assert find_deviations(cases) == set(table)
    assert all(table.values())


def test_the_suites_are_all_there(cases: list[Case]) -> None:
    assert {case.suite for case in cases} == SUITES
    assert len(cases) > 400
