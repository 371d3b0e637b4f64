"""Writing the recipients, partition by partition."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import polars as pl
from msgspec import Struct, field

from engine.audience.planning.arrangement import Arrangement
from engine.audience.planning.excluded_rows import ExcludedRows
from engine.audience.planning.plan_files import (
    RECIPIENT_COLUMNS,
    RecipientsFile,
    name_files,
    recipients_file,
    stored_name,
    write_plan_file,
)
from engine.audience.planning.second_pass import SetRules, Settled, merge_counts, settle_partition
from engine.audience.planning.threads import work_through

# A small audience still has several leases, for several workers; a large one has leases that are worth a file each.
LEASES_WANTED = 8
MIN_LEASE_ROWS = 250
MAX_LEASE_ROWS = 10_000


class Written(Struct):
    """The written recipients.

    Attributes:
        files: in the plan's order; at least one.
        counts: reason -> rows that were excluded.
    """

    files: list[RecipientsFile] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def rows_per_lease(accepted: int) -> int:
    """Choose the number of rows of a file's leases: an eighth of its recipients, at least 250 and at most 10,000.

    >>> [rows_per_lease(accepted) for accepted in (0, 2_001, 1_000_000)]
    [250, 251, 10000]
    """
    return min(max(-(-accepted // LEASES_WANTED), MIN_LEASE_ROWS), MAX_LEASE_ROWS)


def write_recipients(  # noqa: PLR0913 - all inputs of writing, keyword-only
    folder: Path,
    rules: SetRules,
    excluded: ExcludedRows,
    *,
    content: Sequence[str],
    limit: int | None,
    arrangement: Arrangement | None,
    count: Callable[[int], None] = lambda _: None,
) -> Written:
    """Settle every partition and write the accepted rows.

    Args:
        folder: the plan's.
        rules: the rules of the second pass.
        excluded: collects the exclusions.
        content: the audience's columns that recipients carry.
        limit: how many recipients to keep, the first by their hash; None keeps all.
        arrangement: the order by columns; None for the order by hash.
        count: called after every partition.
    """
    writer = _Writer(folder, rules.files, excluded, content, arrangement)
    partitions = range(rules.partitions.count)
    written = Written()
    if limit is None:
        finished: Iterator[_Finished] = work_through(partitions, lambda n: writer.finish(n, settle_partition(n, rules)))
    else:
        decided = work_through(partitions, lambda n: settle_partition(n, rules))
        finished = (writer.finish(n, settled) for n, settled in enumerate(_keep_first(decided, limit)))
    for item in finished:
        count(1)
        written.counts = merge_counts(written.counts, item.counts)
        for part, rows in item.parts:
            assert arrangement is not None  # noqa: S101 - only then are there parts
            arrangement.put(part, rows)
        written.files += [item.file] if item.file else []
    if arrangement is not None:
        files = work_through(range(arrangement.parts), lambda part: writer.write(part, arrangement.take(part)))
        written.files = [file for file in files if file]
    if not written.files:
        written.files.append(writer.write_nothing())
    return written


def _keep_first(decided: Iterator[Settled], limit: int) -> Iterator[Settled]:
    left = limit
    for settled in decided:
        settled.keep_first(left, limit)
        left -= int(settled.left.sum())
        yield settled


class _Finished(Struct, frozen=True):
    """A finished partition: its file, or its parts to be sorted by columns."""

    counts: dict[str, int]
    file: RecipientsFile | None = None
    parts: Sequence[tuple[int, pl.DataFrame]] = ()


class _Writer:
    def __init__(
        self,
        folder: Path,
        files: Sequence[str],
        excluded: ExcludedRows,
        content: Sequence[str],
        arrangement: Arrangement | None,
    ) -> None:
        self._folder, self._files, self._excluded, self._arrangement = folder, files, excluded, arrangement
        self._columns = [*RECIPIENT_COLUMNS, *(stored_name(column) for column in content)]

    def finish(self, number: int, settled: Settled) -> _Finished:
        for excluded in settled.taken:
            self._excluded.divide(excluded)
        accepted = settled.accepted
        if self._arrangement is not None and accepted.height:
            return _Finished(settled.counts, parts=list(self._arrangement.divide(accepted)))
        return _Finished(settled.counts, self.write(number, accepted))

    def write(self, number: int, accepted: pl.DataFrame | None) -> RecipientsFile | None:
        """Write a file of recipients; return None if there are none."""
        if accepted is None or accepted.is_empty():
            return None
        file = RecipientsFile(recipients_file(number), accepted.height, rows_per_lease(accepted.height))
        rows = accepted.with_columns(name_files(pl.col("file"), self._files).alias("file")).select(self._columns)
        write_plan_file(self._folder / file.name, rows, row_group_rows=file.lease_rows)
        return file

    def write_nothing(self) -> RecipientsFile:
        """Write a file with all columns and no rows: a plan has at least one file."""
        columns = dict.fromkeys(self._columns, pl.String) | {"row": pl.UInt64, "line": pl.UInt64}
        name = recipients_file(0)
        write_plan_file(self._folder / name, pl.DataFrame(schema=columns), row_group_rows=MIN_LEASE_ROWS)
        return RecipientsFile(name, 0, MIN_LEASE_ROWS)
