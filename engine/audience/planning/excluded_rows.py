"""The excluded rows, on their way into files that are sorted by row."""

from pathlib import Path

import polars as pl

from engine.audience.exclusions import EXCLUDED_SCHEMA
from engine.audience.planning.plan_files import excluded_file, write_plan_file
from engine.audience.planning.scratch import Scratch, pack
from engine.audience.planning.threads import work_through

ROW_GROUP_ROWS = 100_000
# The batches of so many rows share a shelf, and so a file.
_ROWS_ON_A_SHELF = 1_000_000


class ExcludedRows:
    """Takes exclusions in any order; every shelf has the rows of a stretch of the sources.

    Args:
        shelves: where they are set aside; the labels say how many rows are before those that count from 1.
    """

    def __init__(self, shelves: Scratch[int]) -> None:
        self._shelves = shelves
        self._starts: list[int] = []

    def clear(self) -> None:
        """Forget everything: the rows are read again."""
        self._shelves.clear()
        self._starts = []

    def begin_batch(self, rows_before: int) -> None:
        """Say that the rows after so many are the next batch's."""
        if not self._starts or rows_before - self._starts[-1] >= _ROWS_ON_A_SHELF:
            self._starts.append(rows_before)

    def put(self, packed: bytes, rows_before: int) -> None:
        """Set aside packed exclusions of the batch that was begun, whose rows count from 1."""
        self._shelves.put(len(self._starts) - 1, packed, rows_before)

    def divide(self, excluded: pl.DataFrame) -> None:
        """Set aside exclusions of any rows; many threads may do so at once, when all batches were begun."""
        starts = pl.Series(self._starts, dtype=pl.UInt64)
        shelf = starts.search_sorted(excluded.get_column("row") - 1, side="right") - 1
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
