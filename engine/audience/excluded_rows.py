"""The excluded rows, on their way into files that are sorted by row."""

from bisect import bisect_right
from pathlib import Path

import polars as pl

from engine.audience.exclusions import EXCLUDED_SCHEMA
from engine.audience.pipeline import work_through
from engine.audience.plan_files import excluded_file, write_plan_file
from engine.audience.scratch import Scratch, pack

ROW_GROUP_ROWS = 100_000
# So many batches in a row share a shelf, and so a file.
_BATCHES_ON_A_SHELF = 8


class ExcludedRows:
    """Takes exclusions in any order; every shelf has the rows of a stretch of the sources.

    Args:
        shelves: where they are set aside; the labels say how many rows are before those that count from 1.
    """

    def __init__(self, shelves: Scratch[int]) -> None:
        self._shelves = shelves
        self._batches = 0
        self._starts: list[int] = []

    def clear(self) -> None:
        """Forget everything: the rows are read again."""
        self._shelves.clear()
        self._batches, self._starts = 0, []

    def begin_batch(self, rows_before: int) -> None:
        """Say that the rows after so many are the next batch's."""
        if self._batches % _BATCHES_ON_A_SHELF == 0:
            self._starts.append(rows_before)
        self._batches += 1

    def put(self, packed: bytes, rows_before: int) -> None:
        """Set aside packed exclusions of the batch that was begun, whose rows count from 1."""
        self._shelves.put(len(self._starts) - 1, packed, rows_before)

    def divide(self, excluded: pl.DataFrame) -> None:
        """Set aside exclusions of any rows; many threads may do so at once, when all batches were begun."""
        rows = excluded.get_column("row").sort()
        for first, last in ((rows.min(), rows.max()),):
            low, high = bisect_right(self._starts, first - 1) - 1, bisect_right(self._starts, last - 1) - 1  # type: ignore[operator] # rows are numbers
        if low == high:
            self._shelves.put(low, pack(excluded), 0)
            return
        shelf = pl.Series(self._starts, dtype=pl.UInt64).search_sorted(excluded.get_column("row") - 1, side="right") - 1
        parts = excluded.with_columns(shelf=shelf).partition_by("shelf", as_dict=True, include_key=False)
        for (number,), part in parts.items():
            self._shelves.put(int(number), pack(part), 0)

    def write(self, folder: Path) -> tuple[str, ...]:
        """Write the files, each sorted by row, one after the other; at least one.

        Raises:
            PausedError: the disk is full or failing.
            ConfigurationError: the folder may not be written.
        """
        names = work_through(range(max(len(self._starts), 1)), lambda shelf: self._write_shelf(shelf, folder))
        return tuple(name for name in names if name)

    def _write_shelf(self, shelf: int, folder: Path) -> str | None:
        parts = [
            part.with_columns(pl.col("row") + pl.lit(before, dtype=pl.UInt64))
            for before, part in self._shelves.take(shelf)
        ]
        if not parts and shelf:
            return None
        rows = pl.concat([pl.DataFrame(schema=EXCLUDED_SCHEMA), *parts]).sort("row")
        name = excluded_file(shelf)
        write_plan_file(folder / name, rows, row_group_rows=ROW_GROUP_ROWS)
        return name
