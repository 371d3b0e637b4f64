"""Cells that a spreadsheet would run as a formula are defused, and addresses are read back unchanged."""

import polars as pl
import pytest

from engine.csv_formulas import defuse_formulas, read_defused

FORMULAS = ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", " =1", "\u200b=1", "\uff1d1", "\uff0b1", "\t=2", "\r", "\n+1"]
HARMLESS = ["", "a=1", "1+1", "o'neil@b.example", "'quoted", "Ann", None]


@pytest.mark.parametrize("text", FORMULAS)
def test_formula_gets_an_apostrophe(text: str) -> None:
    assert defuse_formulas(pl.DataFrame({"a": [text]}))["a"].to_list() == [f"'{text}"]


def test_other_cells_stay_as_they_are() -> None:
    frame = pl.DataFrame({"text": HARMLESS, "number": range(-3, len(HARMLESS) - 3)})
    assert defuse_formulas(frame).equals(frame)
    assert defuse_formulas(frame.select("number")).equals(frame.select("number"))


def test_address_is_read_as_it_was_before_it_was_defused() -> None:
    addresses = pl.Series("a", ["+ann@b.example", "-bob@b.example", "=c@b.example", "o'neil@b.example", "'d@b.example"])
    assert read_defused(defuse_formulas(addresses.to_frame())["a"]).equals(addresses)
