"""Notifications of received mail in a queue, as a receipt rule of SES sends them.

Source: SES developer guide, "Contents of notifications for Amazon SES email receiving" (`content` where the mail is
small).
"""

import base64
import binascii
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from engine.feedback.events.envelopes import Verify, read_json
from engine.feedback.inbound.authority import SesReceipt

_DEEPEST = 3  # an SNS envelope, a notification in it, and one more


class Refusal(StrEnum):
    """Why a message of the queue is quarantined; its file's name in the store begins with the value."""

    NO_MAIL = "no-mail"  # not a notification of received mail, or one without a mail
    FORGED = "forged"  # the signature of its SNS envelope is invalid
    BROKEN = "broken"  # the mail cannot be read
    BUCKET = "bucket"  # it names a bucket that the settings do not list
    UNREADABLE = "unreadable"  # the object is gone, too large, or S3 refuses it


class NoMailError(ValueError):
    """A message of the queue has no mail; the text says why."""

    def __init__(self, text: str, refusal: Refusal = Refusal.NO_MAIL) -> None:
        super().__init__(text)
        self.refusal = refusal


class Notification(Struct, frozen=True):
    """A notification of received mail.

    Attributes:
        name: the id that SES gave the mail.
        receipt: SES's verdicts.
        is_signed: SNS signed it. Anyone who may write to the queue can have written an unsigned one.
        content: the mail, where the notification contains it.
        place: bucket and key of the object that is the mail, where it does not.
    """

    name: str
    receipt: SesReceipt
    is_signed: bool
    content: bytes | None
    place: tuple[str, str] | None


def open_notification(body: str | bytes, verify: Verify) -> Notification | None:
    """Read a notification of received mail; None for a notice about the set-up of a topic.

    Raises:
        NoMailError: it is not one, or names no mail.
        ForgedError: the signature of its SNS envelope is invalid.
        MailrunError: `verify` cannot check it now; the message must stay in the queue.
    """
    document: Any = body
    is_signed = False
    for _ in range(_DEEPEST):
        document = _parse(document)
        if document is None:
            return None
        if document.get("Type") == "Notification" and isinstance(document.get("Message"), str):
            verify(document)
            is_signed = True
            document = document["Message"]
            continue
        break
    if not isinstance(document, dict) or document.get("notificationType") != "Received":
        if isinstance(document, dict) and document.get("notificationType") == "AmazonSnsSubscriptionSucceeded":
            return None
        raise NoMailError("it is not a notification of received mail")
    return _find_mail(document, is_signed=is_signed)


def _parse(text: Any) -> dict[str, Any] | None:
    try:
        document = read_json(text)
    except ValueError:
        notice = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        if notice.strip().startswith("Successfully validated SNS topic"):
            return None
        raise NoMailError("it is not JSON") from None
    if not isinstance(document, dict):
        raise NoMailError("it is JSON, but not an object")
    return document


def _find_mail(document: Mapping[str, Any], *, is_signed: bool) -> Notification:
    mail, receipt = _as_object(document.get("mail")), _as_object(document.get("receipt"))
    name, verdicts, content = str(mail.get("messageId")), _read_receipt(mail, receipt), document.get("content")
    action = _as_object(receipt.get("action"))
    if isinstance(content, str):
        is_encoded = str(action.get("encoding")).upper() == "BASE64"
        raw = _decode(content) if is_encoded else content.encode("utf-8", "replace")
        return Notification(name, verdicts, is_signed, raw, None)
    bucket, key = action.get("bucketName"), action.get("objectKey")
    if action.get("type") == "S3" and isinstance(bucket, str) and isinstance(key, str):
        return Notification(name, verdicts, is_signed, None, (bucket, key))
    raise NoMailError("it has neither the mail nor the name of an object with the mail")


def _as_object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _read_receipt(mail: Mapping[str, Any], receipt: Mapping[str, Any]) -> SesReceipt:
    spf, dkim, dmarc = (
        str(_as_object(receipt.get(f"{name}Verdict")).get("status", "")).lower() for name in ("spf", "dkim", "dmarc")
    )
    return SesReceipt(spf, dkim, dmarc, str(mail.get("source", "")))


def _decode(content: str) -> bytes:
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise NoMailError("its content is not base64") from None
