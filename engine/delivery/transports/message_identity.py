"""Headers that SES adds itself, for messages that other servers or files receive: Date, Message-ID, Feedback-ID."""

import uuid
from email import message_from_bytes, policy
from email.utils import format_datetime

from engine.campaign.headers import FEEDBACK_TAGS, OWN_TAGS
from engine.campaign.message import Message
from engine.clock import Clock


def make_identity(message: Message, sender_address: str, clock: Clock) -> tuple[tuple[str, str], ...]:
    """Make Date and Message-ID (RFC 5322 3.6), and Feedback-ID as SES writes it. Other servers do not add them.

    The id is the same for every attempt at a recipient, so that a receiver can recognize a second copy.
    """
    tags = dict(message.tags)
    known = [tags[tag] for tag in OWN_TAGS if tag in tags]
    name = ".".join(known) if "mailrun-row" in tags else uuid.uuid4().hex  # a proof belongs to no run
    domain = sender_address.rpartition("@")[2]
    identity = ("Date", format_datetime(clock.now())), ("Message-ID", f"<{name}@{domain}>")
    feedback = [tags[tag] for tag in FEEDBACK_TAGS if tag in tags]
    return (*identity, ("Feedback-ID", ":".join((*feedback, domain)))) if feedback else identity


def to_seven_bit(data: bytes) -> bytes:
    """Rewrite a message without bytes beyond ASCII, for servers without 8BITMIME (RFC 6152)."""
    if data.isascii():
        return data
    return message_from_bytes(data, policy=policy.SMTP.clone(cte_type="8bit")).as_bytes(
        policy=policy.SMTP.clone(cte_type="7bit")
    )
