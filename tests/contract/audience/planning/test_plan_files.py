"""The row ids of many leases, read together: an audit of 10,000 leases does not open the plan 10,000 times."""

from pathlib import Path

import polars as pl
import pytest

from engine.audience.planning.plan_files import (
    RecipientsFile,
    divide,
    iterate_lease_rows,
    read_lease,
    recipients_file,
    write_plan_file,
)
from engine.errors import DataError

ROWS, LEASE_ROWS = 50, 7


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    for number in range(2):
        rows = range(number * 1000, number * 1000 + ROWS)
        frame = pl.DataFrame({"row": rows, "address": [f"p{row}@b.example" for row in rows]})
        frame = frame.with_columns(pl.col("row").cast(pl.UInt64))
        write_plan_file(tmp_path / recipients_file(number), frame, row_group_rows=LEASE_ROWS)
    return tmp_path


LEASES = divide([RecipientsFile(recipients_file(number), ROWS, LEASE_ROWS) for number in range(2)])


def test_rows_of_many_leases_are_read_together_and_are_those_of_each(plan: Path):
    together = list(iterate_lease_rows(plan, LEASES))
    assert [len(leases) for leases in together] == [len(LEASES) // 2] * 2  # a file at a time
    for lease, rows in (one for leases in together for one in leases):
        assert rows.to_list() == read_lease(plan, lease)["row"].to_list()


def test_leases_that_do_not_follow_one_another_are_read_apart(plan: Path):
    some = [lease for lease in LEASES if lease.ordinal % 3]
    read = [one for leases in iterate_lease_rows(plan, some) for one in leases]
    assert [lease for lease, _ in read] == some
    assert all(rows.to_list() == read_lease(plan, lease)["row"].to_list() for lease, rows in read)


def test_a_plan_that_ends_too_early_is_damaged(plan: Path):
    pl.read_parquet(plan / recipients_file(1)).head(ROWS - 1).write_parquet(plan / recipients_file(1))
    with pytest.raises(DataError, match="the plan ends before its lease"):
        list(iterate_lease_rows(plan, LEASES))
