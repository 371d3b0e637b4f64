"""`[audience] order_by`: sort a plan of any size by some columns.

The rows are partitioned by the hash of the address; this order partitions them again. A sample of the rows decides
where the partitions begin, so that they are about equal. Each is sorted by itself, and written after the one before.
"""

from collections.abc import Iterator, Sequence

import polars as pl
from msgspec import Struct

from engine.audience.planning.first_pass import order_name
from engine.audience.planning.partitions import HASH
from engine.audience.planning.scratch import Scratch

_BORDER = "plan.border"


class OrderBy(Struct, frozen=True):
    """A column to order by."""

    column: str
    descending: bool


def parse_order(text: str | None) -> tuple[OrderBy, ...]:
    """Parse `points desc, since`; returns an empty tuple if there is no order.

    >>> parse_order("points desc, since")
    (OrderBy(column='points', descending=True), OrderBy(column='since', descending=False))
    """
    items = [item.split() for item in text.split(",")] if text else []
    return tuple(OrderBy(words[0], words[-1].lower() == "desc" and len(words) > 1) for words in items)


class Arrangement:
    """Sorts rows by columns, partition by partition.

    Args:
        orders: the columns to order by; their values are in the columns named by `order_name`.
        sample: a sample of the rows: these values and `HASH`.
        parts: the number of partitions.
        shelves: stores the partitions.
    """

    def __init__(self, orders: Sequence[OrderBy], sample: pl.DataFrame, parts: int, shelves: Scratch[None]) -> None:
        self._keys = [*(order_name(number) for number in range(len(orders))), HASH]
        self._descending = [*(order.descending for order in orders), False]
        self._shelves = shelves
        ordered = self.sort(sample.select(self._keys))
        at = pl.int_range(1, parts, eager=True) * ordered.height // parts
        self._borders = ordered.select(pl.all().gather(at)).unique(maintain_order=True) if ordered.height else ordered
        self.parts = self._borders.height + 1

    def sort(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Sort rows: blank values last, and equal ones by the hash of the address."""
        return rows.sort(self._keys, descending=self._descending, nulls_last=True, maintain_order=True)

    def divide(self, rows: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
        """Divide rows by the borders: return each partition's number and its rows."""
        marked = rows.with_columns(pl.lit(value=False).alias(_BORDER))
        borders = self._borders.with_columns(pl.lit(value=True).alias(_BORDER))
        # A border comes before the rows that are equal to it.
        mixed = self.sort(pl.concat([borders, marked], how="diagonal_relaxed"))
        numbered = mixed.with_columns(part=pl.col(_BORDER).cum_sum()).filter(~pl.col(_BORDER)).drop(_BORDER)
        for (part,), own in numbered.partition_by("part", as_dict=True, include_key=False).items():
            yield int(part), own.select(rows.columns)

    def put(self, part: int, rows: pl.DataFrame) -> None:
        """Store rows of a partition."""
        self._shelves.put(part, rows, None)

    def take(self, part: int) -> pl.DataFrame | None:
        """Read a partition, sorted; None if it is empty."""
        frames = [frame for _, frame in self._shelves.take(part)]
        return self.sort(pl.concat(frames, how="vertical_relaxed")) if frames else None
