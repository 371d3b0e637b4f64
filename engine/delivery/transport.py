"""The interface of a transport: it hands over messages and reports what the answers mean."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

from engine.campaign.message import Message
from engine.campaign.part_writers import PartWriter
from engine.delivery.replies import SendReply


class CallGroup(Struct, frozen=True, eq=False):
    """Messages that may share a call.

    Attributes:
        shared_bytes: that a call has once, besides the payloads of its messages.
    """

    shared_bytes: int


class Item(Struct, frozen=True):
    """A message made ready for its transport; its retries use the same bytes.

    Attributes:
        row: the recipient's row in the plan.
        message: what it was made of.
        payload: as the transport sends it.
        group: messages of one group may share a call; None is alone.
    """

    row: int
    message: Message
    payload: bytes
    group: CallGroup | None = None


TakeReplies: TypeAlias = Callable[[Sequence[SendReply]], None]
"""Receives what the answer to a call means for each of its messages, in their order."""


class Transport(Protocol):
    """Hands over messages. It sends once; the engine decides about retries."""

    @property
    def most_items(self) -> int:
        """How many messages one call may carry."""

    @property
    def most_calls(self) -> int:
        """How many calls in flight the transport supports."""

    @property
    def most_bytes(self) -> int:
        """How many bytes one call may have: the payloads of its messages, and what their group adds."""

    @property
    def writer(self) -> PartWriter:
        """Writes the parts of messages as `prepare` needs them."""

    def prepare(self, message: Message) -> Item:
        """Make a message ready: all the work that needs no network."""

    async def send(self, items: Sequence[Item]) -> Sequence[SendReply]:
        """Hand over the messages of one call.

        Returns:
            What the answer means for each, in their order. A transport raises nothing but cancellation: after an
            unknown error the messages are in doubt.
        """

    def begin(self, items: Sequence[Item], take: TakeReplies) -> bool:
        """Hand over the messages of one call at once, without a task.

        Args:
            items: as in `send`.
            take: receives once what `send` would return; it may be called before this returns.

        Returns:
            False, and nothing was handed over, where that has to wait: use `send`.
        """
