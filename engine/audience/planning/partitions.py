"""Partition data of audience size by the hash of the address: equal addresses are always in the same partition."""

from collections.abc import Iterator

import polars as pl
from msgspec import Struct

from engine.addresses.hashing import hash_addresses, hash_keys
from engine.audience.planning.plan_files import SCRATCH_PREFIX
from engine.audience.planning.scratch import divide
from engine.audience.providers import mailbox_of
from engine.audience.spec import Dedupe

HASH = f"{SCRATCH_PREFIX}hash"
# Text per partition; each thread holds one partition and the frames made from it.
_PARTITION_BYTES = 24 << 20
_MOST_BITS = 10


class Partitions(Struct, frozen=True):
    """Partitions of the plan's order, by the first bits of the hash.

    Attributes:
        order_key: the key that makes the order specific to a campaign.
        dedupe: the rule that decides whether two addresses are the same.
        bits: the number of leading bits of the hash that select a partition.
    """

    order_key: str
    dedupe: Dedupe
    bits: int

    @property
    def count(self) -> int:
        """The number of partitions."""
        return 1 << self.bits

    def identify(self, keys: pl.Series) -> pl.Series:
        """Return the identity of addresses: equal for two that `dedupe` treats as the same."""
        return mailbox_of(keys) if self.dedupe is Dedupe.PROVIDER else keys

    def hash(self, keys: pl.Series) -> pl.Series:
        """Hash the identity of addresses by their keys: their position in the plan's order, UInt64."""
        return self.hash_addresses(keys)[0]

    def hash_addresses(self, addresses: pl.Series) -> tuple[pl.Series, bool]:
        """Hash addresses as `hash` hashes their keys; and find out whether an address has capitals."""
        if self.dedupe is not Dedupe.PROVIDER:
            hashes, has_capitals = hash_addresses(addresses, self.order_key)
            return hashes.alias(HASH), has_capitals
        keys = addresses.str.to_lowercase()
        return hash_keys(self.identify(keys), self.order_key).alias(HASH), bool((keys != addresses).any())

    def split(self, frame: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
        """Split rows that have `HASH`: return each partition's number and its rows, in their order."""
        if frame.is_empty():
            return
        if not self.bits:
            yield 0, frame
            return
        yield from divide(frame, (frame.get_column(HASH) // 2 ** (64 - self.bits)).cast(pl.UInt16))


def choose_bits(text_bytes: int) -> int:
    """Choose the number of partitions so that each is small for any size of audience."""
    return min(max(0, -(-text_bytes // _PARTITION_BYTES) - 1).bit_length(), _MOST_BITS)
