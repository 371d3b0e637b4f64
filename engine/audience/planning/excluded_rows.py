"""Collect the excluded rows and write them sorted by row."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from engine.audience.exclusions import EXCLUDED_SCHEMA, ExclusionReason
from engine.audience.planning.plan_files import excluded_file, name_files, write_plan_file
from engine.audience.planning.scratch import Scratch, divide
from engine.audience.planning.threads import work_through

ROW_GROUP_ROWS = 100_000
# The batches of this many rows share a shelf, and so a file.
_ROWS_ON_A_SHELF = 1_000_000
# An excluded row on its way to the file, with numbers in place of the texts that many rows share: the number of its
# table; the place of its reason in `ExclusionReason`; of a duplicate no detail, but the place of the first such row.
COLLECTED_SCHEMA: Mapping[str, type[pl.DataType]] = {
    "row": pl.UInt64,
    "file": pl.UInt32,
    "line": pl.UInt64,
    "address": pl.String,
    "reason": pl.UInt8,
    "detail": pl.String,
    "first_file": pl.UInt32,
    "first_line": pl.UInt64,
}


def collect(excluded: pl.DataFrame) -> pl.DataFrame:
    """Convert excluded rows to `COLLECTED_SCHEMA`, without the columns that are absent.

    Args:
        excluded: `reason` as text; any number for `file`.
    """
    numbers = {reason.value: number for number, reason in enumerate(ExclusionReason)}
    reason = pl.col("reason").replace_strict(numbers, return_dtype=pl.UInt8)
    return excluded.with_columns(reason).select(
        pl.col(name).cast(dtype) for name, dtype in COLLECTED_SCHEMA.items() if name in excluded.columns
    )


class ExcludedRows:
    """Collects exclusions in any order; each shelf has the rows of one range of the sources.

    Args:
        shelves: stores the exclusions; a label is the number of rows before the batch.
        files: the names of the tables' files.
    """

    def __init__(self, shelves: Scratch[int], files: Sequence[str]) -> None:
        self._shelves, self._files = shelves, files
        self._starts: list[int] = []

    def clear(self) -> None:
        """Remove all exclusions before the rows are read again."""
        self._shelves.clear()
        self._starts = []

    def begin_batch(self, rows_before: int) -> None:
        """Begin the batch whose rows come after this many."""
        if not self._starts or rows_before - self._starts[-1] >= _ROWS_ON_A_SHELF:
            self._starts.append(rows_before)

    def put(self, excluded: pl.DataFrame, rows_before: int) -> None:
        """Store exclusions (from `collect`) of the current batch; its rows count from 1."""
        self._shelves.put(len(self._starts) - 1, self._without_files(excluded), rows_before)

    def divide(self, excluded: pl.DataFrame) -> None:
        """Store exclusions (from `collect`) of any rows. Thread-safe once all batches have begun."""
        starts = pl.Series(self._starts, dtype=pl.UInt64)
        shelf = starts.search_sorted(excluded.get_column("row") - 1, side="right") - 1
        for number, rows in divide(self._without_files(excluded), shelf):
            self._shelves.put(number, rows, 0)

    def _without_files(self, excluded: pl.DataFrame) -> pl.DataFrame:
        return excluded.drop("file", "first_file", strict=False) if len(self._files) == 1 else excluded

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
        rows = self._describe(pl.concat([pl.DataFrame(schema=COLLECTED_SCHEMA), *parts], how="diagonal").sort("row"))
        name = excluded_file(shelf)
        write_plan_file(folder / name, rows, row_group_rows=ROW_GROUP_ROWS)
        return name

    def _describe(self, collected: pl.DataFrame) -> pl.DataFrame:
        """Convert `COLLECTED_SCHEMA` to `EXCLUDED_SCHEMA`."""
        first_file = name_files(pl.col("first_file"), self._files)
        is_same = pl.format("the same address as in {} line {}", first_file, "first_line")
        return collected.select(
            "row",
            name_files(pl.col("file"), self._files).alias("file"),
            "line",
            "address",
            pl.lit(pl.Series([reason.value for reason in ExclusionReason])).gather(pl.col("reason")).alias("reason"),
            pl.coalesce("detail", is_same).alias("detail"),
        ).select(*EXCLUDED_SCHEMA)
