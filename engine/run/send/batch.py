"""A call under construction: messages of one lease and group that will share it."""

from datetime import datetime

from msgspec import Struct, field

from engine.delivery.transport import Item
from engine.run.send.open_lease import OpenLease


class CallBatch(Struct):
    """Messages that will share one call.

    Attributes:
        opened: their lease.
        most_items: maximum number of messages in the call.
        begun_at: when the first was made, in monotonic seconds.
        payload_bytes: the sum of their payloads, and what their group adds.
        items: the messages so far.
        closes_at: when the first of the recipients' own sending windows closes; None where they have none.
        has_waited: for so long that its recipients must be looked up again.
    """

    opened: OpenLease
    most_items: int
    begun_at: float
    payload_bytes: int = 0
    items: list[Item] = field(default_factory=list)
    closes_at: datetime | None = None
    has_waited: bool = False

    def add(self, item: Item, closes_at: datetime | None) -> None:
        """Add a message of the same lease and group."""
        if not self.items and item.group is not None:
            self.payload_bytes = item.group.shared_bytes
        self.items.append(item)
        self.payload_bytes += len(item.payload)
        if closes_at is not None:
            self.closes_at = min(closes_at, self.closes_at or closes_at)

    @property
    def is_full(self) -> bool:
        """Return whether nothing more may be added."""
        return self.items[-1].group is None or len(self.items) >= self.most_items
