"""Envelopes of events: SNS notifications, EventBridge, Firehose files, or none. Pure.

* SNS to SQS: `{"Type": "Notification", "TopicArn", "Message": "<the record as text>", "Signature", …}`; with raw
  message delivery the record itself.
* EventBridge: `{"detail-type", "source": "aws.ses", "detail": {record}}`.
* Firehose: one record after the other, with or without line ends between them.
* quarantined by mailrun before: `{"quarantined": "<reason>", "body": "<as received>"}`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum, StrEnum
from typing import Any

import orjson
from msgspec import Struct
from msgspec.structs import replace

from engine.feedback.events.records import FeedbackEvent, MalformedError, read_record

_DEEPEST = 4  # an SNS notification of an EventBridge event that was quarantined
_DECODER = json.JSONDecoder()
_BETWEEN = " \t\r\n,"  # documents
_STRUCTURE = re.compile(r'["\\{}\[\]\n]')

Verify = Callable[[Mapping[str, Any]], None]
"""Checks an SNS notification; raises ForgedError where its signature or topic is wrong."""


class ForgedError(ValueError):
    """An SNS notification whose signature, certificate or topic is not right."""


class Passed(StrEnum):
    """Valid messages that are not events and need no processing."""

    NOTICE = "notice"  # a notice of SES or SNS about a set-up
    INBOUND = "inbound"  # a notification of received mail


_PASSED = {"AmazonSnsSubscriptionSucceeded": Passed.NOTICE, "Received": Passed.INBOUND}


class Quarantined(Struct, frozen=True):
    """Data that is not an event: the reason, the data as received, and its origin if known."""

    reason: str
    body: str
    is_forged: bool = False
    source: str | None = None


Opened = list[FeedbackEvent] | Passed | Quarantined


def read_json(text: str | bytes) -> Any:
    """Read JSON; also with unpaired surrogates, which a text has that was cut in the middle of an emoji.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # orjson refuses unpaired surrogates
        try:
            return json.loads(text)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None


def open_body(body: str | bytes, verify: Verify) -> Opened:
    """Read one message of a queue, or one document of a file.

    Args:
        body: as received.
        verify: checks SNS notifications.

    Raises:
        MailrunError: of `verify`: it cannot be checked now, and the message must be kept.
    """
    try:
        document = read_json(body)
    except ValueError:
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
        # SES sends this plain text when a topic is set up.
        is_notice = text.strip().startswith("Successfully validated SNS topic")
        return Passed.NOTICE if is_notice else Quarantined("it is not JSON", text)
    return open_document(document, body, verify)


def open_document(document: Any, body: str | bytes, verify: Verify) -> Opened:
    """As open_body, of JSON that is read already; `body` is what is stored where it is not an event."""
    if isinstance(document, dict) and isinstance(document.get("quarantined"), str):
        again = open_body(str(document.get("body")), verify)
        source = document.get("source")
        return replace(again, source=str(source)) if source and isinstance(again, Quarantined) else again
    try:
        return _open(document, verify, 0)
    except (MalformedError, ForgedError) as error:
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
        return Quarantined(str(error), text.strip(), isinstance(error, ForgedError))


def _open(document: Any, verify: Verify, depth: int) -> Opened:
    if not isinstance(document, dict):
        raise MalformedError("it is JSON, but not an object")
    if depth > _DEEPEST:
        raise MalformedError("it has too many envelopes")
    if document.get("Type") == "Notification" and isinstance(document.get("Message"), str):
        verify(document)
        return _open_text(document["Message"], verify, depth)
    if document.get("Type") in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        return Passed.NOTICE  # nothing is fetched: the subscription of a queue needs no confirmation
    if isinstance(document.get("detail-type"), str) and isinstance(document.get("detail"), dict):
        return _open_detail(document, verify, depth)
    kind = document.get("eventType") or document.get("notificationType")
    passed = _PASSED.get(kind) if isinstance(kind, str) else None
    return passed or read_record(document)


def _open_text(text: str, verify: Verify, depth: int) -> Opened:
    try:
        document = read_json(text)
    except ValueError:
        if text.strip().startswith("Successfully validated SNS topic"):
            return Passed.NOTICE
        raise MalformedError("what is inside its envelope is not JSON") from None
    return _open(document, verify, depth + 1)


def _open_detail(document: Mapping[str, Any], verify: Verify, depth: int) -> Opened:
    detail = document["detail"]
    if "mail" in detail:
        return _open(detail, verify, depth + 1)
    if document.get("source") == "aws.ses":
        return Passed.NOTICE  # an advisor's recommendation, a sending status
    raise MalformedError("it is an EventBridge event, but not from SES")


def split_documents(text: str) -> Iterator[tuple[Any, str]]:
    """Extract JSON documents from text, with anything or nothing between them.

    Yields:
        The document and its text; None and the text up to the next possible beginning where it is not JSON.
    """
    at, end = 0, len(text)
    while True:
        while at < end and text[at] in _BETWEEN:
            at += 1
        if at >= end:
            return
        try:
            document, after = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            # Not retried at the next line: each failure would read the whole text, to find its line number.
            yield from _split_damaged(text[at:])
            return
        yield document, text[at:after]
        at = after


class _Cut(IntEnum):
    """Where damaged text is cut, tried in this order."""

    BRACKETS = 0
    NEW_DOCUMENTS = 1  # also where a line begins with a bracket: what is cut never closes its own
    LINES = 2


def _split_damaged(text: str, cut: _Cut = _Cut.BRACKETS) -> Iterator[tuple[Any, str]]:
    """Split text that is not JSON from its beginning on; a piece that is not a document is cut again, in the next way.

    So every character is read at most once for each way to cut, however much of the text is damaged.
    """
    pieces = text.split("\n") if cut is _Cut.LINES else _find_pieces(text, cut)
    for piece in (stripped for piece in pieces if (stripped := piece.strip(_BETWEEN))):
        try:
            document = read_json(piece)
        except ValueError:
            if cut is not _Cut.LINES and "\n" in piece:
                yield from _split_damaged(piece, _Cut(cut + 1))
            else:
                yield None, piece
        else:
            yield document, piece


def _find_pieces(text: str, cut: _Cut) -> Iterator[str]:
    """Yield the text within outer brackets; text that begins with another character ends with its line."""
    begun, depth, is_garbage = 0, 0, False
    for at, mark in _find_marks(text):
        end = at
        if mark == "\n":
            is_garbage = False
            if cut is _Cut.NEW_DOCUMENTS and text.startswith(("{", "["), at + 1):
                depth = 0
        elif is_garbage:
            continue
        elif mark in "{[":
            is_garbage = depth == 0 and bool(text[begun:at].strip(_BETWEEN))
            depth += not is_garbage
        else:
            is_garbage = depth == 0
            depth = max(0, depth - 1)
            end = at + 1
        if depth == 0 and not is_garbage:
            yield text[begun:end]
            begun = end
    yield text[begun:]


def _find_marks(text: str) -> Iterator[tuple[int, str]]:
    """Yield brackets outside of strings, and line ends: no string of JSON has one in it."""
    quoted, skipped = False, -1
    for found in _STRUCTURE.finditer(text):
        at, mark = found.start(), found[0]
        if mark == "\n":
            quoted = False
            yield at, mark
        elif at == skipped:
            continue
        elif mark == '"':
            quoted = not quoted
        elif quoted:
            skipped = at + 1 if mark == "\\" else skipped
        elif mark != "\\":
            yield at, mark
