"""Reads the record of an SES event into one event for each recipient. Pure.

The record is the same whatever envelope it came in: `eventType` (event publishing) or `notificationType` (feedback
notifications of an identity: bounces, complaints and deliveries, without tags), `mail`, and an object named after the
type: https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
Unknown fields, subtypes and types are accepted.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import blake2b
from math import inf
from typing import Any, NamedTuple

from engine.feedback.events.agents import find_agent

_LONGEST_ID = 255
_LONGEST_NAME = 100  # of a type or subtype: they are in every recipient's event
_MOST_TOPICS = 100  # in one opt-out: a contact list of SES has up to 20
_LONGEST_TEXT = 1000  # of a diagnostic or a link: they are for people
_FIRST_YEAR, _LAST_YEAR = 1970, 2200  # within the ranges of calendars and Parquet
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # the characters of campaigns and run keys
_ADDRESS = re.compile(r"[0-9A-Fa-f.:/-]{2,64}")  # IPv4 or IPv6, or a range of them
_ROW = re.compile(r"[0-9]{1,15}")
_POSITION = re.compile(r"[1-9][0-9]{0,3}")
LINK_TAG = "mailrun-link"  # of a link of the HTML part: its position
_UNFIT = re.compile(r"[\x00-\x1f\x7f]")


class EventKind(StrEnum):
    """The types of event that mailrun acts upon."""

    SEND = "Send"
    DELIVERY = "Delivery"
    BOUNCE = "Bounce"
    COMPLAINT = "Complaint"
    OPEN = "Open"
    CLICK = "Click"
    DELIVERY_DELAY = "DeliveryDelay"
    SUBSCRIPTION = "Subscription"
    REJECT = "Reject"
    RENDERING_FAILURE = "RenderingFailure"


# The object of each type, and where in it the recipients are; else they are the mail's destination.
_OBJECTS: dict[str, tuple[str, str | None]] = {
    EventKind.SEND: ("send", None),
    EventKind.DELIVERY: ("delivery", "recipients"),
    EventKind.BOUNCE: ("bounce", "bouncedRecipients"),
    EventKind.COMPLAINT: ("complaint", "complainedRecipients"),
    EventKind.OPEN: ("open", None),
    EventKind.CLICK: ("click", None),
    EventKind.DELIVERY_DELAY: ("deliveryDelay", "delayedRecipients"),
    EventKind.SUBSCRIPTION: ("subscription", None),
    EventKind.REJECT: ("reject", None),
    EventKind.RENDERING_FAILURE: ("failure", None),
}
_NEEDS_OBJECT = frozenset({EventKind.BOUNCE, EventKind.COMPLAINT})


class FeedbackEvent(NamedTuple):
    """One event of one recipient.

    Attributes:
        id: the same for every copy of the event: of message id, type and subtype, recipient, feedback id or time, link
            and its position, and topics.
        kind: an `EventKind`, or SES's own type where it is newer than this version.
        subtype: as `Type`, or `Type/Subtype` where rules distinguish them; see rules.py.
        at: when it happened, in milliseconds since 1970; of a Send, a Reject and a failure, when SES accepted the mail.
        sent_at: when SES accepted the mail, in milliseconds since 1970.
        message_id: SES's.
        address: the recipient as the event has it.
        campaign: our tag; empty where there is none.
        run_key: our tag.
        row: our tag; None where there is none.
        feedback_id: SES's, of bounces and complaints.
        status: the receiver's enhanced status code.
        detail: the receiver's diagnostic text, or the reason.
        link: that was clicked.
        topics: opted out of, divided by commas; `*` is all mail.
        sent_to: the recipient of the mail, where the event names only others, such as a forwarding address.
        outgoing_ip: IP address, or range of them, that the mail left from; None where SES does not name it.
        agent: the program that opened or clicked, a value of `agents.Agent`; None for a person's own, or not known.
            Neither the user agent nor the IP address of the request is kept.
        position: of the link that was clicked, 1 for the first of the HTML part; None where it is not known.
    """

    id: str
    kind: str
    subtype: str
    at: int
    sent_at: int
    message_id: str
    address: str
    campaign: str
    run_key: str
    row: int | None
    feedback_id: str | None
    status: str | None
    detail: str | None
    link: str | None
    topics: str | None
    sent_to: str | None
    outgoing_ip: str | None = None
    agent: str | None = None
    position: int | None = None


class MalformedError(ValueError):
    """A record is not valid; the message says why."""


def read_record(record: Mapping[str, Any]) -> list[FeedbackEvent]:
    """Read a record.

    Raises:
        MalformedError: it has no type, no mail, no message id, no recipient or no time.
    """
    kind = record.get("eventType") or record.get("notificationType")
    mail = record.get("mail")
    if not isinstance(kind, str) or not isinstance(mail, dict) or len(kind) > _LONGEST_NAME:
        raise MalformedError("it has no type or no mail")
    kind = _clean(kind.replace(" ", ""))  # Rendering Failure is written with a space
    message_id = mail.get("messageId")
    if not isinstance(message_id, str) or not 0 < len(message_id) <= _LONGEST_ID:
        raise MalformedError("mail.messageId is missing")
    name, recipients_name = _OBJECTS.get(kind, (kind[:1].lower() + kind[1:], None))
    body = record.get(name)
    if not isinstance(body, dict):
        if kind in _NEEDS_OBJECT:
            raise MalformedError(f"it has no {name}")
        body = {}
    sent_at = _read_time(mail.get("timestamp"), "mail.timestamp")
    at = _read_time(body["timestamp"], f"{name}.timestamp") if body.get("timestamp") else sent_at
    campaign, run_key, row = _read_tags(mail.get("tags"))
    outgoing_ip = _read_outgoing(mail.get("tags"))
    feedback_id, link = _text(body.get("feedbackId")), _text(body.get("link"))
    seconds = (at - sent_at) / 1000 if body.get("timestamp") else inf
    agent, position = find_agent(kind, body.get("userAgent"), seconds), _read_position(body.get("linkTags"))
    topics = _read_topics(body) if kind == EventKind.SUBSCRIPTION else None
    subtype = _read_subtype(kind, body, opted_out=topics is not None)
    place = "" if position is None else f"\n{position}"  # a scanner follows two links to one page at the same time
    shared = f"{message_id}\n{kind}\n{feedback_id or at}\n{link or ''}{place}\n{topics or ''}"
    message_id = _clean(message_id)
    events = []
    recipients = list(_read_recipients(body.get(recipients_name) if recipients_name else None, mail))
    sent_to = _read_only_destination(mail, [address for address, _ in recipients])
    for address, details in recipients:
        status = _text(details.get("status"))
        words = details.get("diagnosticCode") or body.get("smtpResponse") or body.get("reason")
        reporter = body.get("userAgent") if kind == EventKind.COMPLAINT else None  # of others it is a person's
        detail = _text(words or body.get("errorMessage") or reporter)
        exact = _detect_out_of_office(subtype, details)
        identity = f"{shared}\n{exact}\n{address.lower()}".encode("utf-8", "replace")
        digest = blake2b(identity, digest_size=16).hexdigest()
        events.append(
            FeedbackEvent(
                digest, kind, exact, at, sent_at, message_id, address, campaign, run_key, row, feedback_id, status,
                detail, link, topics, sent_to, outgoing_ip, agent, position,
            )
        )  # fmt: skip
    return events


def _read_time(value: Any, name: str) -> int:
    try:
        moment = datetime.fromisoformat(value)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise MalformedError(f"{name} is not a time") from None
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise MalformedError(f"{name} is not a time that an event can have")
    return int(moment.timestamp() * 1000)


def _read_tags(tags: Any) -> tuple[str, str, int | None]:
    """Read mailrun's own tags; None for a value that mailrun cannot have written."""
    if not isinstance(tags, dict):
        return "", "", None
    campaign, key = _first(tags.get("mailrun-campaign")), _first(tags.get("mailrun-key"))
    row = _first(tags.get("mailrun-row"))
    if not (campaign and key and row and _TAG.fullmatch(campaign) and _TAG.fullmatch(key) and _ROW.fullmatch(row)):
        return "", "", None
    return campaign, key, int(row)


def _read_outgoing(tags: Any) -> str | None:
    """Read the IP address that a mail left from; None for a value that is not one."""
    address = _first(tags.get("ses:outgoing-ip")) if isinstance(tags, dict) else None
    return address if address is not None and _ADDRESS.fullmatch(address) else None


def _read_position(tags: Any) -> int | None:
    """Read the position that mailrun tagged a link with; None for a value that mailrun cannot have written."""
    position = _first(tags.get(LINK_TAG)) if isinstance(tags, dict) else None
    return int(position) if position is not None and _POSITION.fullmatch(position) else None


def _first(values: Any) -> str | None:
    value = values[0] if isinstance(values, list) and values else values
    return value if isinstance(value, str) else None


def _read_subtype(kind: str, body: Mapping[str, Any], *, opted_out: bool) -> str:
    match kind:
        case EventKind.BOUNCE:
            parts = (body.get("bounceType"), body.get("bounceSubType"))
        case EventKind.COMPLAINT:
            parts = (body.get("complaintFeedbackType"), body.get("complaintSubType"))
        case EventKind.DELIVERY_DELAY:
            parts = (body.get("delayType"), None)
        case EventKind.SUBSCRIPTION:
            parts = ("OptOut" if opted_out else "OptIn", body.get("source"))
        case _:
            return ""
    return "/".join(_clean(part[:_LONGEST_NAME]) for part in parts if isinstance(part, str) and part)


def _detect_out_of_office(subtype: str, details: Mapping[str, Any]) -> str:
    """Name a Transient/General without a diagnostic of the receiver's server: an automatic reply, not a fault.

    SES reports out-of-office replies so, after the message was delivered.
    """
    server_text = details.get("status") or details.get("diagnosticCode")
    return "Transient/OutOfOffice" if subtype == "Transient/General" and not server_text else subtype


def _read_topics(body: Mapping[str, Any]) -> str | None:
    preferences = body.get("newTopicPreferences")
    if not isinstance(preferences, dict):
        return None
    if preferences.get("unsubscribeAll") is True:
        return "*"
    statuses = preferences.get("topicSubscriptionStatus")
    named = [
        _clean(item["topicName"][:128])
        for item in (statuses if isinstance(statuses, list) else ())
        if isinstance(item, dict)
        and item.get("subscriptionStatus") == "OptOut"
        and isinstance(item.get("topicName"), str)
    ]
    topics = sorted({name for name in named if name and "," not in name})
    if len(topics) > _MOST_TOPICS:
        raise MalformedError(f"it opts out of more than {_MOST_TOPICS} topics")
    return ",".join(topics) or None


def _read_recipients(entries: Any, mail: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every recipient once: of the event where it names them, else of the mail."""
    listed = entries if isinstance(entries, list) and entries else mail.get("destination")
    seen: set[str] = set()
    for entry in listed if isinstance(listed, list) else ():
        details = entry if isinstance(entry, dict) else {}
        address = details.get("emailAddress") if details else entry
        if isinstance(address, str) and address and address.lower() not in seen:
            seen.add(address.lower())
            yield _clean(address[:_LONGEST_TEXT]), details
    if not seen:
        raise MalformedError("it names no recipient")


def _read_only_destination(mail: Mapping[str, Any], named: list[str]) -> str | None:
    """Return the one address that a mail went to, where an event names others alone.

    A bounce may name the last hop's recipient of an alias or a forwarding: the Final-Recipient of its delivery report.
    """
    destination = mail.get("destination")
    if not isinstance(destination, list) or len(destination) != 1 or not (address := _text(destination[0])):
        return None
    return None if address.lower() in {name.lower() for name in named} else address


def _text(value: Any) -> str | None:
    return _clean(value[:_LONGEST_TEXT]) if isinstance(value, str) and value else None


def _clean(text: str) -> str:
    """Remove characters that a text column cannot store: control characters such as NUL, unpaired surrogates."""
    return text if text.isprintable() else _UNFIT.sub(" ", text).encode("utf-8", "replace").decode()
