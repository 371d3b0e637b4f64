"""Dividing what is of audience size by the hash of the address: the same address always meets itself."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from engine.addresses.hashing import hash_keys
from engine.audience.planning.plan_files import SCRATCH_PREFIX
from engine.audience.planning.scratch import Room, Set, pack
from engine.audience.providers import mailbox_of
from engine.audience.spec import Dedupe

HASH = f"{SCRATCH_PREFIX}hash"
# So much text, and what is made of it, is one partition's memory in each thread.
_PARTITION_BYTES = 24 << 20
_MOST_BITS = 10


@dataclass(frozen=True, slots=True)
class Partitions:
    """Parts of the plan's order: the first bits of the hash.

    Attributes:
        order_key: what makes the order a campaign's own.
        dedupe: when two addresses are the same.
        bits: how many of the hash's first bits number the partitions.
    """

    order_key: str
    dedupe: Dedupe
    bits: int

    @property
    def count(self) -> int:
        """How many partitions there are."""
        return 1 << self.bits

    def identify(self, keys: pl.Series) -> pl.Series:
        """Name whom addresses reach: equal where `dedupe` takes two for the same."""
        return mailbox_of(keys) if self.dedupe is Dedupe.PROVIDER else keys

    def hash(self, keys: pl.Series) -> pl.Series:
        """Hash whom addresses reach: their place in the plan's order, UInt64."""
        return hash_keys(self.identify(keys), self.order_key).alias(HASH)

    def split(self, frame: pl.DataFrame, room: Room | None = None) -> Iterator[tuple[int, Set]]:
        """Divide rows that have `HASH`: each part's number, and it, in the order that it had.

        Args:
            frame: the rows.
            room: memory for them; where there is none left, or None, they are packed for the disk.
        """
        if frame.is_empty():
            return
        as_set = _keep if room is not None and room.has_room_for(frame) else pack
        if not self.bits:
            yield 0, as_set(frame)
            return
        number = (pl.col(HASH) // 2 ** (64 - self.bits)).cast(pl.UInt16).alias("number")
        parts = frame.with_columns(number).partition_by("number", as_dict=True, include_key=False, maintain_order=True)
        for (part,), rows in parts.items():
            yield int(part), as_set(rows)


def _keep(frame: pl.DataFrame) -> Set:
    return frame


def choose_bits(text_bytes: int) -> int:
    """Choose so many partitions that each is small, whatever the size of the audience."""
    return min(max(0, -(-text_bytes // _PARTITION_BYTES) - 1).bit_length(), _MOST_BITS)
