"""Lists from the receiving side, and the files that `mailrun resolve --export` writes."""

from pathlib import Path

import polars as pl
import pytest

from engine.csv_formulas import defuse_formulas
from engine.run.settle.receiver_lists import read_list

ADDRESSES = ["+ann@b.example", "-x@b.example", "=y@b.example", "o'neil@b.example", "'quoted@b.example"]


@pytest.mark.parametrize("column", ["address", "email", "Address"])
def test_list_reads_addresses_as_our_exports_write_them(tmp_path: Path, column: str):
    """An address that a spreadsheet would run as a formula is exported with an apostrophe before it."""
    path = tmp_path / "chosen.csv"
    path.write_bytes(defuse_formulas(pl.DataFrame({column: ADDRESSES})).write_csv().encode())
    assert "'+ann" in path.read_text()
    assert read_list(path, "hello/1")["address"].to_list() == ADDRESSES
