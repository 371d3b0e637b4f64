"""A message between the request to send it and the record of its acceptance."""

from typing import TypedDict

from msgspec import Struct, field

from engine.sandbox.reach.reach import Reach


class DraftHeader(TypedDict):
    """One header of a message."""

    name: str
    value: str


class DraftAttachment(TypedDict):
    """What is kept of an attachment."""

    name: str
    type: str
    size: int


class DraftContent(Struct):
    """What a recipient would see.

    Attributes:
        failure: why SES could not render the template; empty for all other content.
        raw: the MIME message in base64; empty unless it was sent as Raw content.
    """

    subject: str | None = None
    html: str | None = None
    text: str | None = None
    headers: list[DraftHeader] = field(default_factory=list)
    attachments: list[DraftAttachment] = field(default_factory=list)
    raw: str = ""
    failure: str = ""


class Draft(Struct):
    """A valid message, not accepted yet.

    Attributes:
        sender: the From, as it was given.
        sender_address: the address in it.
        recipients: the addresses of To, Cc and Bcc.
        outgoing_ip: that it leaves from; empty until it is accepted.
        reach: how it is to leave.
    """

    operation: str
    sender: str
    sender_address: str
    recipients: list[str]
    reply_to: list[str]
    tags: dict[str, str]
    configuration_set: str | None
    content: DraftContent
    outgoing_ip: str = ""
    reach: Reach = Reach()
