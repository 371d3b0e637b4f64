"""Blank cells of a lease are null, as they are where every cell is looked at by itself."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from engine.audience.planning.plan_files import content_of
from engine.audience.reading.blanks import null_blanks

TEXTS = st.text(st.sampled_from(" !~a\x7f\u00a0\u200b\u2800é\t\x00\U000e0020"), max_size=3) | st.text(max_size=3)
COLUMNS = st.lists(st.tuples(st.none() | TEXTS, st.none() | TEXTS), max_size=6)


@given(COLUMNS)
def test_content_has_the_nulls_of_the_general_expression(rows: list[tuple[str | None, str | None]]) -> None:
    lease = pl.DataFrame(rows, {"a": pl.String, "b": pl.String}, orient="row")
    expected = lease.select(null_blanks(pl.col(name), pl.String()).alias(name) for name in lease.columns)
    assert content_of(lease, lease.columns).equals(expected)
