"""What a mail is that came back: a delivery report, a complaint, an automatic answer, or a wish to get no more.

In this order (RFC 3464, RFC 5965, RFC 3834): most mail that machines write carries the words of what it answers, our
unsubscribe link among them, and asks for nothing. Some of it carries a person's request all the same: a mail program
that was told to unsubscribe, as Apple's, writes `Auto-Submitted: auto-replied` and says so in `X-Apple-Unsubscribe`;
and no answer to our mail has our token, and nothing else, as its subject or recipient. Broken and hostile mail is
`OTHER` or `BROKEN`, never an error.
"""

import email
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses
from enum import StrEnum

from engine.feedback.unsubscribes import find_tokens

MOST_BYTES = 40 * 1024 * 1024  # what SES takes in
MOST_TEXT_CHARACTERS = 100_000  # of a body that are looked at
MOST_PARTS = 200

_RECIPIENTS = ("To", "Cc", "Delivered-To", "X-Original-To")
_MACHINES = re.compile(r"(?i)^(?:mailer-daemon|postmaster|no-?reply|do-?not-?reply|bounces?)(?:\+[^@]*)?@")
_AUTOMATIC_SUBJECT = re.compile(
    r"(?i)^\s*(?:(?:re|aw|sv|antw|fwd?)\s*:\s*)*(?:auto(?:matic|mated)?[ -]?(?:reply|response|answer)|out of (?:the )?"
    r"office|ooo\b|vacation|away from|abwesen|automatische antwort|r[ée]ponse automatique|respuesta autom|"
    r"risposta automatica|undeliver|delivery (?:status|failure)|mail delivery|returned mail|failure notice)"
)
_WISH = re.compile(r"(?i)^\s*(?:(?:re|aw|sv|antw|fwd?)\s*:\s*)*(?:please\s+)?(?:unsubscribe|abmelden|opt[ -]?out|stop)"
                   r"(?:\s+me)?\s*[.!]?\s*$")  # fmt: skip
_QUOTED = re.compile(r"^\s*(?:[>|]|On .{5,200} wrote:|-{2,}\s*(?:Original|Forwarded)|From:|_{10,})")


class Kind(StrEnum):
    """What a mail is."""

    DELIVERY_REPORT = "delivery_report"
    COMPLAINT = "complaint"  # a feedback report
    AUTOMATIC = "automatic"  # an automatic answer, a list's mail, our own mail in a loop
    UNSUBSCRIBE = "unsubscribe"
    OTHER = "other"  # a person's mail: for a person to read
    BROKEN = "broken"  # no mail, or one too damaged to be judged


@dataclass(frozen=True, slots=True)
class Inbound:
    """What was read of a mail.

    Attributes:
        kind: what it is.
        tokens: what may be our tokens, for a complaint and an unsubscribe.
        address: whom it is about where no token says so: the sender of a wish, the recipient that a report names.
        message_id: its own.
    """

    kind: Kind
    tokens: tuple[str, ...] = ()
    address: str | None = None
    message_id: str = ""


def read_mail(raw: bytes) -> Inbound:
    """Tell what a mail is; never raises.

    Args:
        raw: as it was received, RFC 5322.
    """
    try:
        return _read(raw[:MOST_BYTES])
    except (
        MessageError,
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        RecursionError,
        AssertionError,
        IndexError,
    ):
        return Inbound(Kind.BROKEN)  # the email package raises these for what nobody should write


def _read(raw: bytes) -> Inbound:
    mail = email.message_from_bytes(raw, policy=policy.compat32)
    if not mail.keys():
        return Inbound(Kind.BROKEN)
    message_id = _header(mail, "Message-ID")[:998]
    report = str(mail.get_param("report-type") or "").lower() if _type(mail) == "multipart/report" else ""
    if report == "feedback-report" or any(_type(part) == "message/feedback-report" for part in _parts(mail)):
        return _read_complaint(mail, message_id)
    if report or any(_type(part) == "message/delivery-status" for part in _parts(mail)):
        return Inbound(Kind.DELIVERY_REPORT, message_id=message_id)
    is_apple = _header(mail, "X-Apple-Unsubscribe").strip().lower() == "true"
    if is_automatic(mail) and not is_apple and not _has_sole_token(mail):
        return Inbound(Kind.AUTOMATIC, message_id=message_id)
    return _read_wish(mail, message_id, is_certain=is_apple)


def _has_sole_token(mail: Message) -> bool:
    """Tell whether what may be our token is the whole subject, or the whole of a recipient's name or of its tag."""
    texts = [_unfold(_header(mail, "Subject")).strip()]
    for _, address in getaddresses([str(value) for name in _RECIPIENTS for value in mail.get_all(name, [])]):
        name = address.rpartition("@")[0]
        texts += [name, name.partition("+")[2]]
    return any(find_tokens(text) == [text] for text in texts)


def is_automatic(mail: Message) -> bool:
    """Say whether a machine wrote a mail (RFC 3834, and what is seen in its place)."""
    submitted = _header(mail, "Auto-Submitted").partition(";")[0].strip().lower()
    sender = _address(mail, "From")
    return (
        submitted not in ("", "no")
        or _header(mail, "Return-Path").strip() == "<>"
        or _header(mail, "Precedence").strip().lower() in ("bulk", "junk", "list", "auto_reply")
        or any(name in mail for name in ("X-Autoreply", "X-Autorespond", "X-Auto-Reply", "X-Loop", "X-Autogenerated"))
        or any(name in mail for name in ("List-Id", "List-Unsubscribe", "Feedback-ID"))
        or bool(sender and _MACHINES.match(sender))
        or bool(_AUTOMATIC_SUBJECT.match(_header(mail, "Subject")))
    )


def _read_complaint(mail: Message, message_id: str) -> Inbound:
    """Read an Abuse Reporting Format mail: the recipient it names, and our token in the mail that it is about."""
    tokens: list[str] = []
    address = None
    for part in _parts(mail):
        if _type(part) == "message/feedback-report":
            fields = _fields_of(part)
            if fields.get("feedback-type", "").lower() == "not-spam":
                return Inbound(Kind.OTHER, message_id=message_id)
            address = address or fields.get("original-rcpt-to", "").strip("<> ") or None
        if unsubscribe := part.get("List-Unsubscribe"):
            tokens += find_tokens(_unfold(str(unsubscribe)))
        elif _type(part) == "text/rfc822-headers":
            tokens += find_tokens(_unfold(_text(part)))
    return Inbound(Kind.COMPLAINT, tuple(dict.fromkeys(tokens)), address, message_id)


def _read_wish(mail: Message, message_id: str, *, is_certain: bool = False) -> Inbound:
    """Look for our token in the subject, where our mailto: link puts it, in a recipient, or alone on a line.

    Without one a mail that consists of the word, or that is certainly a request, is its sender's.
    """
    subject = _header(mail, "Subject")
    recipients = " ".join(_header(mail, name) for name in _RECIPIENTS)
    tokens = find_tokens(_unfold(subject)) + find_tokens(recipients)
    own = list(_own_lines(mail))
    tokens += [line for line in own if find_tokens(line) == [line]]
    if tokens:
        return Inbound(Kind.UNSUBSCRIBE, tuple(dict.fromkeys(tokens)), None, message_id)
    first = next((line for line in own if line), "")
    if is_certain or _WISH.match(subject) or (not subject.strip() and _WISH.match(first)):
        return Inbound(Kind.UNSUBSCRIBE, (), _address(mail, "From"), message_id)
    return Inbound(Kind.OTHER, message_id=message_id)


def _own_lines(mail: Message) -> Iterator[str]:
    """Yield the lines of the first plain part, up to what is quoted from another mail."""
    part = next((part for part in _parts(mail) if _type(part) == "text/plain"), None)
    for line in _text(part).splitlines() if part is not None else ():
        if _QUOTED.match(line):
            return
        yield line.strip()


def _parts(mail: Message) -> Iterator[Message]:
    """Yield the parts of a mail, the attached mails' among them; at most `MOST_PARTS`."""
    waiting, seen = [mail], 0
    while waiting and seen < MOST_PARTS:
        part = waiting.pop(0)
        seen += 1
        yield part
        payload = part.get_payload()
        if isinstance(payload, list):
            waiting += [one for one in payload if isinstance(one, Message)]


def _fields_of(part: Message) -> dict[str, str]:
    """Return the fields of a machine-readable part, which the email package may or may not have taken apart."""
    payload = part.get_payload()
    if isinstance(payload, list) and payload and isinstance(payload[0], Message):
        return {name.lower(): str(value).strip() for name, value in payload[0].items()}
    pairs = (line.partition(":") for line in _text(part).splitlines() if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _type(part: Message) -> str:
    return part.get_content_type()


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    charset = str(part.get_param("charset") or "utf-8")
    try:
        return payload[: MOST_TEXT_CHARACTERS * 4].decode(charset, "replace")[:MOST_TEXT_CHARACTERS]
    except LookupError:
        return payload[:MOST_TEXT_CHARACTERS].decode("latin-1")


def _header(mail: Message, name: str) -> str:
    """Return a header as text, its encoded words read; empty where there is none."""
    value = mail.get(name)
    if value is None:
        return ""
    try:
        return str(make_header(decode_header(str(value))))
    except (MessageError, ValueError, LookupError):
        return str(value)


def _unfold(text: str) -> str:
    """Remove the white space that folds a long header: a token has none."""
    return re.sub(r"[\r\n]+[ \t]*|[ \t]*[\r\n]+", "", text)


def _address(mail: Message, name: str) -> str | None:
    found = [address for _, address in getaddresses([str(mail.get(name, ""))]) if "@" in address]
    return found[0] if len(found) == 1 else None
