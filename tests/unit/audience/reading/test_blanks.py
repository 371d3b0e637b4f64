"""Cells without a value are null in templates, whatever the format has for them."""

import polars as pl
import pytest

from engine.audience.planning.plan_files import content_of
from engine.audience.reading.blanks import fill, is_blank, null_blanks
from engine.audience.reading.types import type_of

NAN = float("nan")


@pytest.mark.parametrize(
    ("cells", "dtype", "expected"),
    [
        (["Ann", "", "  ", "\t\u00a0\n", None, " x "], pl.String, ["Ann", None, None, None, None, " x "]),
        (["Ann", " ", "\u200b"], pl.Categorical, ["Ann", None, None]),
        ([1.5, NAN, None], pl.Float64, [1.5, None, None]),
        ([1, None], pl.Int64, [1, None]),
        ([["a", " "], None, []], pl.List(pl.String), [["a", None], None, []]),
        ([["a", ""]], pl.Array(pl.String, 2), [["a", None]]),
        (
            [{"n": " ", "m": [NAN, 1.0], "k": 1}, None],
            pl.Struct({"n": pl.String, "m": pl.List(pl.Float64), "k": pl.Int64}),
            [{"n": None, "m": [None, 1.0], "k": 1}, None],
        ),
        ([[{"n": ""}, None], None], pl.List(pl.Struct({"n": pl.String})), [[{"n": None}, None], None]),
    ],
)
def test_null_blanks_nulls_cells_without_value(cells: list[object], dtype: pl.DataType, expected: list[object]) -> None:
    column = pl.Series("x", cells, dtype)
    assert column.to_frame().select(null_blanks(pl.col("x"), column.dtype)).to_series().to_list() == expected
    lease = pl.DataFrame({"row": pl.Series(range(len(cells))), "x": column})
    assert content_of(lease, ["x"])["x"].to_list() == expected


# White space, zero-width and formatting characters, fillers, variation selectors, tags, controls.
SHOWING_NOTHING = (
    "\u00a0\u3000\t\u200b\u200c\u200d\u200e\u2060\ufeff\u00ad\u034f\u061c\u115f\u180e\u2800\u3164\uffa0"
    "\ufe0f\U000e0020\x00\x1f\ufff9"
)


@pytest.mark.parametrize("text", [*SHOWING_NOTHING, SHOWING_NOTHING, " \u200b "])
def test_text_that_shows_nothing_is_blank_everywhere(text: str) -> None:
    column = pl.Series("x", [text, f"{text}a{text}"])
    assert column.to_frame().select(is_blank(column)).to_series().to_list() == [True, False]
    assert column.to_frame().select(null_blanks(pl.col("x"), column.dtype)).to_series().to_list() == [None, column[1]]
    assert fill(column, "there").to_list() == ["there", column[1]]
    assert type_of(pl.Series("n", ["1", text])) == pl.Int64


@pytest.mark.parametrize("text", ["0", "-", "\u0301", "\u00b7", "\U0001f600", "\u0600", "\ufffd", "\u2588"])
def test_text_that_shows_something_is_not_blank(text: str) -> None:
    column = pl.Series("x", [text])
    assert column.to_frame().select(is_blank(column)).to_series().to_list() == [False]
