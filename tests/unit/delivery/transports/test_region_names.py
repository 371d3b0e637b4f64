"""Replies of one of several regions name it."""

from collections.abc import Sequence

from support.messages import make_message

from engine.campaign.message import Message
from engine.campaign.part_writers import PartWriter, make_utf8_writer
from engine.delivery.replies import ReplyMeaning, SendReply
from engine.delivery.transport import Item, TakeReplies
from engine.delivery.transports.region_names import RegionTransport

REPLIES = [SendReply(ReplyMeaning.SENT, "id-1"), SendReply(ReplyMeaning.IN_DOUBT, detail="502 Bad Gateway")]


class TwoReplies:
    most_items = 50
    most_calls = 8
    most_bytes = 1_000
    writer: PartWriter = make_utf8_writer()

    def prepare(self, message: Message) -> Item:
        return Item(message.row, message, b"x")

    async def send(self, items: Sequence[Item]) -> Sequence[SendReply]:
        assert len(items) == 2
        return REPLIES

    def begin(self, items: Sequence[Item], take: TakeReplies) -> bool:
        assert len(items) == 2
        take(REPLIES)
        return True


async def test_replies_other_than_sent_name_their_region():
    transport, taken = RegionTransport(TwoReplies(), "eu-west-1"), list[SendReply]()
    items = [transport.prepare(make_message(row, "a@b.example", "s", None, "t", (), ())) for row in (1, 2)]
    named = [REPLIES[0], SendReply(ReplyMeaning.IN_DOUBT, detail="eu-west-1: 502 Bad Gateway")]
    assert await transport.send(items) == named
    assert transport.begin(items, taken.extend)
    assert taken == named
    assert (transport.most_items, transport.most_calls, transport.most_bytes) == (50, 8, 1_000)
