"""`[audience.checks] insights`: what SES said of addresses never mailed before, and which are to be asked about."""

from collections.abc import Mapping
from threading import Lock

import polars as pl
from msgspec import Struct, field

from engine.audience.planning.caps import SHELVED
from engine.audience.planning.partitions import HASH, Partitions
from engine.audience.planning.scratch import Scratch
from engine.audience.spec import CheckAction
from engine.quantities import format_count

_LISTED: Mapping[str, pl.DataType | type[pl.DataType]] = {HASH: pl.UInt64, "same": pl.String, "detail": pl.String}


class Insights(Struct, eq=False):
    """The answers that a plan applies, and the addresses without one. Thread-safe.

    Attributes:
        action: what is done with an address that SES does not expect to reach.
        budget: the most addresses to look up.
        known: SES's answers: `key` and `detail` (null where there is no objection).
        wanted: addresses never mailed and not known, the first of the plan's order: `HASH`, `key`, `address`.
        new: how many such addresses there are.
        warned: how many addresses have an objection and stay.
    """

    action: CheckAction
    budget: int
    known: pl.DataFrame
    wanted: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(schema={HASH: pl.UInt64, "key": pl.String, "address": pl.String})
    )
    new: int = 0
    warned: int = 0
    _lock: Lock = field(default_factory=Lock)

    def want(self, addresses: pl.DataFrame) -> None:
        """Note addresses that have no answer: `HASH`, `key`, `address`."""
        with self._lock:
            self.new += addresses.height
            self.wanted = pl.concat([self.wanted, addresses]).bottom_k(self.budget, by=[HASH, "key"])

    def count_warned(self, rows: int) -> None:
        """Count addresses that stay although SES has an objection."""
        with self._lock:
            self.warned += rows

    def notes(self) -> list[str]:
        """Say what was found and what was not asked."""
        notes = []
        if self.warned:
            notes.append(f"SES does not expect to reach {format_count(self.warned, 'address', 'addresses')} (insights)")
        if self.new:
            new = format_count(self.new, "new address", "new addresses")
            notes.append(f"{new} without insights of SES; a plan looks up at most {self.budget:,}")
        return notes


class ShelvedInsights(Struct, frozen=True):
    """Insights and earlier messages by partition.

    Attributes:
        insights: as given to the plan.
        known: the answers, by partition.
        mailed: the messages of the history, by partition.
        partitions: how both are divided.
    """

    insights: Insights
    known: Mapping[int, pl.DataFrame]
    mailed: Scratch[None] | None
    partitions: Partitions

    def take_known(self, partition: int) -> pl.DataFrame:
        """Return the answers of a partition: `HASH`, `same`, `detail` (null: no objection)."""
        known = self.known.get(partition)
        return pl.DataFrame(schema=_LISTED) if known is None else known

    def take_mailed(self, partition: int) -> pl.DataFrame:
        """Read the addresses of a partition that got a message: `HASH`, `same`, `detail` (null)."""
        parts = [] if self.mailed is None else [messages for _, messages in self.mailed.take(partition)]
        messages = pl.concat([pl.DataFrame(schema=SHELVED), *parts])
        same = self.partitions.identify(messages.get_column("key")).alias("same")
        listed = messages.select(HASH, same, detail=pl.lit(None, dtype=pl.String))
        return listed.unique([HASH, "same"], maintain_order=True)


def shelve_insights(insights: Insights, mailed: Scratch[None] | None, partitions: Partitions) -> ShelvedInsights:
    """Divide answers by partition.

    Args:
        insights: the answers.
        mailed: the messages of the history, by partition; None without a history.
        partitions: how the audience is divided.
    """
    keys = insights.known.get_column("key")
    listed = insights.known.select(partitions.hash(keys), partitions.identify(keys).alias("same"), "detail")
    # Of two spellings of one mailbox, an objection to either is an objection.
    listed = listed.sort("detail", nulls_last=True, maintain_order=True)
    listed = listed.unique([HASH, "same"], keep="first", maintain_order=True)
    return ShelvedInsights(insights, dict(partitions.split(listed)), mailed, partitions)
