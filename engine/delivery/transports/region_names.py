"""Names the region in the text of every reply that is not `sent`: outcomes and logs then tell where it came from."""

from collections.abc import Sequence

from engine.campaign.message import Message
from engine.delivery.replies import ReplyMeaning, SendReply, bound_detail
from engine.delivery.transport import Item, TakeReplies, Transport


class RegionTransport:
    """A transport of one of several regions.

    Args:
        transport: sends.
        region: its name.
    """

    def __init__(self, transport: Transport, region: str) -> None:
        self._transport = transport
        self._region = region
        self.most_items = transport.most_items
        self.most_calls = transport.most_calls
        self.most_bytes = transport.most_bytes
        self.writer = transport.writer

    def prepare(self, message: Message) -> Item:
        """Make a message ready; see Transport.prepare."""
        return self._transport.prepare(message)

    async def send(self, items: Sequence[Item]) -> Sequence[SendReply]:
        """Hand over the messages of one call; see Transport.send."""
        return self._name_region(await self._transport.send(items))

    def begin(self, items: Sequence[Item], take: TakeReplies) -> bool:
        """Hand over the messages of one call without a task; see Transport.begin."""
        return self._transport.begin(items, lambda replies: take(self._name_region(replies)))

    def _name_region(self, replies: Sequence[SendReply]) -> Sequence[SendReply]:
        return [
            reply
            if reply.meaning is ReplyMeaning.SENT
            else reply._replace(detail=bound_detail(f"{self._region}: {reply.detail}"))
            for reply in replies
        ]
