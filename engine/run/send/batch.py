"""The call under construction: messages of one lease that will share one call."""

from dataclasses import dataclass, field
from datetime import datetime

from engine.delivery.transport import Item
from engine.run.send.open_lease import OpenLease


@dataclass(slots=True)
class CallBatch:
    """Messages that will share one call.

    Attributes:
        opened: their lease.
        most_items: maximum number of messages in the call.
        most_bytes: maximum sum of their payloads, in bytes.
        items: the messages so far.
        payload_bytes: the sum of their payloads.
        closes_at: when the first of the recipients' own sending windows closes; None where they have none.
    """

    opened: OpenLease
    most_items: int
    most_bytes: int
    items: list[Item] = field(default_factory=list)
    closes_at: datetime | None = None
    payload_bytes: int = 0

    def accepts(self, opened: OpenLease, item: Item) -> bool:
        """Return whether a message may share the call: it is of the same lease and group, and there is room."""
        fits = self.payload_bytes + len(item.payload) <= self.most_bytes
        return opened is self.opened and fits and item.group is not None and item.group == self.items[0].group

    def add(self, item: Item, closes_at: datetime | None) -> None:
        """Add a message that was accepted."""
        self.items.append(item)
        self.payload_bytes += len(item.payload)
        if closes_at is not None:
            self.closes_at = min(closes_at, self.closes_at or closes_at)

    @property
    def is_full(self) -> bool:
        """Return whether nothing more may be added."""
        return self.items[-1].group is None or len(self.items) >= self.most_items
