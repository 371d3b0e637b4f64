"""Raw content: a MIME message that the caller has built.

Source: SES API v2 `RawMessage`; developer guide, "Service quotas" and "Publishing events: message tags".
"""

import binascii
import re
from base64 import b64decode
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses
from typing import Any

from msgspec import Struct

from engine.sandbox.http.replies import bad_request
from engine.sandbox.ses.contents import check_message_size
from engine.sandbox.ses.draft import DraftAttachment, DraftContent
from engine.sandbox.ses.members import required

MAX_MIME_PARTS = 500
MAX_LINE_CHARACTERS = 1000

_LONG_LINE = re.compile(rb"[^\r\n]{%d}" % (MAX_LINE_CHARACTERS + 1))


class RawMessage(Struct, frozen=True):
    """A MIME message, and what its headers say about sending it."""

    content: DraftContent
    sender: str
    recipients: list[str]
    tags: dict[str, str]
    configuration_set: str | None
    tenant: str | None


def read_raw(raw: dict[str, Any]) -> RawMessage:
    """Return the message of `Content.Raw`.

    Raises:
        ApiError: BadRequestException.
    """
    encoded = required(raw, "Data", str, path="Content.Raw.")
    try:
        data = b64decode(encoded, validate=True)
    except binascii.Error:
        raise bad_request("Content.Raw.Data is not base64.") from None
    check_message_size(len(data))
    if _LONG_LINE.search(data):
        raise bad_request(f"Content.Raw.Data has a line of more than {MAX_LINE_CHARACTERS} characters.")
    message = BytesParser(EmailMessage, policy=policy.default).parsebytes(data)
    if not message.keys() or sum(1 for _ in message.walk()) > MAX_MIME_PARTS:
        raise bad_request(f"Content.Raw.Data is not a message with a header and at most {MAX_MIME_PARTS} MIME parts.")
    try:
        return _read_message(message, encoded)
    except (LookupError, ValueError, TypeError, AttributeError):  # what the email package raises for damaged parts
        raise bad_request("Content.Raw.Data cannot be read as MIME.") from None


def _read_message(message: EmailMessage, encoded: str) -> RawMessage:
    content = DraftContent(
        subject=_header(message, "Subject"),
        html=_body(message, "html"),
        text=_body(message, "plain"),
        headers=[{"name": _clean(name), "value": _clean(value)} for name, value in message.items()],
        attachments=[_describe(part) for part in message.iter_attachments()],
        raw=encoded,
    )
    to = [_clean(value) for name in ("To", "Cc", "Bcc") for value in message.get_all(name, [])]
    pairs = (pair.partition("=") for pair in _header(message, "X-SES-MESSAGE-TAGS").split(",") if "=" in pair)
    return RawMessage(
        content=content,
        sender=_header(message, "From"),
        recipients=[address for _, address in getaddresses(to) if address],
        tags={name.strip(): value.strip() for name, _, value in pairs},
        configuration_set=_header(message, "X-SES-CONFIGURATION-SET") or None,
        tenant=_header(message, "X-SES-TENANT") or None,
    )


def _header(message: EmailMessage, name: str) -> str:
    return _clean(message.get(name, ""))


def _body(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body(preferencelist=(kind,))
    return None if part is None else _clean(part.get_content())


def _describe(part: Any) -> DraftAttachment:
    data = part.get_payload(decode=True)
    return {"name": _clean(part.get_filename() or ""), "type": part.get_content_type(), "size": len(data or b"")}


def _clean(value: Any) -> str:
    """Return text without the surrogates by which the email package carries bytes that are not text."""
    return str(value).encode("utf-8", "replace").decode()
