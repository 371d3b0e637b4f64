"""The index from rows to their places is the same however it is divided, and reads each file of the plan once."""

import random
from pathlib import Path

import polars as pl
import pytest

from engine.audience.planning.lease_range import LeaseRange
from engine.feedback.events import row_index
from engine.feedback.events.row_index import FrozenPlan, RowIndex

ROWS = 200
FILES = {"recipients-0000.parquet": 70, "recipients-0001.parquet": 50}  # the other 80 rows are excluded


@pytest.fixture
def plan(tmp_path: Path) -> FrozenPlan:
    rows = random.Random(3).sample(range(1, ROWS + 1), sum(FILES.values()))
    leases: list[LeaseRange] = []
    for name, count in FILES.items():
        part, rows = rows[:count], rows[count:]
        keys = [None if row % 10 == 0 else f"person{row}@example.com" for row in part]  # null: forgotten
        schema = {"row": pl.UInt64, "key": pl.String}
        pl.DataFrame({"row": part, "key": keys}, schema=schema).write_parquet(tmp_path / name)
        leases += [LeaseRange(len(leases) + n, name, n * 10, 10) for n in range(count // 10)]
    return FrozenPlan("hello/test", "abc", tmp_path, leases, ROWS)


def find_all(plan: FrozenPlan, shelf: Path) -> pl.DataFrame:
    rows = pl.Series("row", range(ROWS + 2), dtype=pl.UInt64)
    index = RowIndex(plan, shelf)
    try:
        return index.find(rows, pl.Series([f"person{row}@example.com" for row in rows]))
    finally:
        index.close()


@pytest.mark.parametrize("at_once", [1, 7, ROWS, ROWS + 1])
def test_index_is_the_same_however_it_is_divided(
    plan: FrozenPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    whole = find_all(plan, tmp_path / "whole")
    monkeypatch.setattr(row_index, "ROWS_AT_ONCE", at_once)
    assert find_all(plan, tmp_path / "divided").equals(whole)


def test_index_finds_every_recipient_at_its_place(plan: FrozenPlan, tmp_path: Path) -> None:
    found = find_all(plan, tmp_path / "shelf").with_row_index("row")
    placed = [(lease.ordinal, at) for lease in plan.leases for at in range(lease.rows)]
    recipients = pl.concat([pl.read_parquet(plan.folder / name) for name in FILES])
    for (row, key), (lease, at) in zip(recipients.iter_rows(), placed, strict=True):
        assert found.row(row)[1:] == (lease, at, key is not None, key is None)
    excluded = found.filter(~pl.col("row").is_in(recipients["row"].implode()))
    assert excluded["lease"].null_count() == excluded.height == ROWS + 2 - sum(FILES.values())
    assert not excluded["is_theirs"].any()


def test_index_reads_each_file_once(plan: FrozenPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work grows with the recipients, not with their square: however many parts, each file is read once."""
    read: list[str] = []
    real = pl.read_parquet

    def count(source: Path, **options: object) -> pl.DataFrame:
        read.append(source.name)
        return real(source, **options)  # type: ignore[arg-type] # passed on

    monkeypatch.setattr(row_index, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(pl, "read_parquet", count)
    RowIndex(plan, tmp_path / "shelf").close()
    assert sorted(read) == sorted(FILES)


def test_index_leaves_no_scratch_behind(plan: FrozenPlan, tmp_path: Path) -> None:
    RowIndex(plan, tmp_path / "shelf").close()
    assert {path.name for path in (tmp_path / "shelf" / plan.run).iterdir()} == {"abc.places", "abc.json"}
