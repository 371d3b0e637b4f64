"""Cells without a value are null in templates, whatever a format has for that."""

import polars as pl
import pytest

from engine.audience.blanks import null_blanks
from engine.audience.plan import content_of

NAN = float("nan")


@pytest.mark.parametrize(
    ("cells", "dtype", "expected"),
    [
        (["Ann", "", "  ", "\t\u00a0\n", None, " x "], pl.String, ["Ann", None, None, None, None, " x "]),
        (["Ann", " "], pl.Categorical, ["Ann", None]),
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
