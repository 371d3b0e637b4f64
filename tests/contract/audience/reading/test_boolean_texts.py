"""A boolean is a boolean in a condition, whatever its format."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.plans import plan, recipients

from engine.audience.planning.plan_files import content_of
from engine.audience.reading.boolean_texts import iterate_rows

FRAME = pl.DataFrame({"email": ["a@x.example", "b@x.example", "c@x.example"], "vip": [True, False, None]})
AS_TEXT = "email,vip\na@x.example,TRUE\nb@x.example,FALSE\nc@x.example,\n"
WRITERS: dict[str, Callable[[Path], Any]] = {
    "a.csv": lambda path: path.write_text(AS_TEXT),
    "b.csv": lambda path: path.write_text(AS_TEXT.replace("FALSE", " false").replace("TRUE", "True ")),
    "c.csv": lambda path: path.write_text(AS_TEXT + "d@x.example,perhaps\n"),
    "d.parquet": FRAME.write_parquet,
    "e.ndjson": FRAME.write_ndjson,
    "f.xlsx": FRAME.write_excel,
    "g.xlsx": lambda path: FRAME.with_columns(pl.col("vip").cast(pl.String).str.to_uppercase()).write_excel(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_boolean_is_a_boolean_in_conditions_in_every_format(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    plan(tmp_path, source=name)
    rows = list(iterate_rows(content_of(recipients(tmp_path).sort("row"), ["vip"])))[:3]
    assert [bool(row["vip"]) for row in rows] == [True, False, False]
    assert [row["vip"] == True for row in rows] == [True, False, False]  # noqa: E712 - as a template writes it
