"""Collect the excluded rows and write them sorted by row."""

from pathlib import Path

import polars as pl

from engine.audience.exclusions import EXCLUDED_SCHEMA
from engine.audience.planning.plan_files import excluded_file, write_plan_file
from engine.audience.planning.scratch import Scratch, pack
from engine.audience.planning.threads import work_through

ROW_GROUP_ROWS = 100_000
# The batches of this many rows share a shelf, and so a file.
_ROWS_ON_A_SHELF = 1_000_000


class ExcludedRows:
    """Collects exclusions in any order; each shelf has the rows of one range of the sources.

    Args:
        shelves: stores the exclusions; a label is the number of rows before the batch.
    """

    def __init__(self, shelves: Scratch[int]) -> None:
        self._shelves = shelves
        self._starts: list[int] = []

    def clear(self) -> None:
        """Remove all exclusions before the rows are read again."""
        self._shelves.clear()
        self._starts = []

    def begin_batch(self, rows_before: int) -> None:
        """Begin the batch whose rows come after this many."""
        if not self._starts or rows_before - self._starts[-1] >= _ROWS_ON_A_SHELF:
            self._starts.append(rows_before)

    def put(self, packed: bytes, rows_before: int) -> None:
        """Store packed exclusions of the current batch; its rows count from 1."""
        self._shelves.put(len(self._starts) - 1, packed, rows_before)

    def divide(self, excluded: pl.DataFrame) -> None:
        """Store exclusions of any rows. Thread-safe once all batches have begun."""
        starts = pl.Series(self._starts, dtype=pl.UInt64)
        shelf = starts.search_sorted(excluded.get_column("row") - 1, side="right") - 1
        parts = excluded.with_columns(shelf=shelf).partition_by("shelf", as_dict=True, include_key=False)
        for (number,), part in parts.items():
            self._shelves.put(int(number), pack(part), 0)

    def write(self, folder: Path) -> tuple[str, ...]:
        """Write the files in order, each sorted by row; at least one.

        Raises:
            PausedError: the disk is full or failing.
            ConfigurationError: the folder cannot be written.
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
