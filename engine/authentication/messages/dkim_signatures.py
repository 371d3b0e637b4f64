"""What a DKIM signature says: its tags, and the header fields that it covers.

Sources: RFC 6376 3.5 (tags), 5.4.2 (fields that occur more than once), 8.2 (`l=`); RFC 8301 (algorithms, key lengths);
RFC 8058 4 (a signature must cover List-Unsubscribe and List-Unsubscribe-Post).
"""

import re
from collections import Counter
from datetime import UTC, datetime

from msgspec import Struct

from engine.authentication.alignment import clean_domain
from engine.authentication.messages.fields import MessageFields
from engine.authentication.tag_list import read_tags

MOST_SIGNATURES = 16  # that are verified; a message relayed through many servers has five
MOST_SIGNATURE_BYTES = 4096
MOST_SIGNED_NAMES = 200
ONE_CLICK_FIELDS = ("list-unsubscribe", "list-unsubscribe-post")
SINGLE_FIELDS = ("from", "subject", "date", "to", "reply-to", "sender", "message-id", *ONE_CLICK_FIELDS)

_NUMBER = re.compile("[0-9]{1,12}")
_SELECTOR = re.compile(r"[A-Za-z0-9._-]{1,190}")


class DkimSignature(Struct, frozen=True):
    """One DKIM-Signature field.

    Attributes:
        index: its place among the message's signatures, 0 for the topmost.
        domain: `d=`, in ASCII; empty where it is not a domain.
        selector: `s=`; empty where it is not valid.
        algorithm: `a=`.
        signed: the names of `h=` in lower case, in their order, repeated as there.
        covered: names of the message whose every field is signed.
        uncovered: names of which the message has more fields than are signed, among those that occur once.
        body_length: `l=`; None where the whole body is signed.
        signed_at: `t=`.
        expires_at: `x=`.
        problem: why it cannot be verified at all; empty for none.
    """

    index: int
    domain: str = ""
    selector: str = ""
    algorithm: str = ""
    signed: tuple[str, ...] = ()
    covered: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()
    body_length: int | None = None
    signed_at: datetime | None = None
    expires_at: datetime | None = None
    problem: str = ""

    @property
    def key_name(self) -> str:
        """The DNS name of the key; empty where the signature names none."""
        return f"{self.selector}._domainkey.{self.domain}" if self.selector and self.domain else ""

    @property
    def covers_one_click(self) -> bool:
        """Return whether both headers of one-click unsubscribing are signed."""
        return all(name in self.covered for name in ONE_CLICK_FIELDS)


def read_signatures(message: MessageFields) -> tuple[DkimSignature, ...]:
    """Read the signatures of a message, the topmost `MOST_SIGNATURES` of them."""
    fields = [field for field in message.fields if field.name == "dkim-signature"][:MOST_SIGNATURES]
    counts = Counter(field.name for field in message.fields)
    return tuple(
        DkimSignature(index, problem=f"it is larger than {MOST_SIGNATURE_BYTES:,} bytes")
        if field.size > MOST_SIGNATURE_BYTES
        else _read_signature(index, field.value, counts)
        for index, field in enumerate(fields)
    )


def _read_signature(index: int, value: str, counts: Counter[str]) -> DkimSignature:
    tags = read_tags(value)
    if tags is None:
        return DkimSignature(index, problem="it is not a list of tags, or a tag occurs twice")
    names = tuple(name.strip().lower() for name in tags.get("h", "").split(":"))
    selector = tags.get("s", "")
    signed = Counter(names)
    missing = [tag for tag in ("v", "a", "b", "bh", "d", "h", "s") if not tags.get(tag)]
    problem = f"it has no {missing[0]}= tag" if missing else ""
    if len(names) > MOST_SIGNED_NAMES:
        problem = f"it names more than {MOST_SIGNED_NAMES} header fields"
    return DkimSignature(
        index,
        domain=clean_domain(tags.get("d", "")),
        selector=selector if _SELECTOR.fullmatch(selector) else "",
        algorithm=tags.get("a", "").lower()[:20],
        signed=names[:MOST_SIGNED_NAMES],
        covered=tuple(name for name in signed if 0 < counts[name] <= signed[name]),
        uncovered=tuple(name for name in SINGLE_FIELDS if counts[name] > signed[name]),
        body_length=_read_number(tags.get("l")),
        signed_at=_read_time(tags.get("t")),
        expires_at=_read_time(tags.get("x")),
        problem=problem,
    )


def _read_number(text: str | None) -> int | None:
    return int(text) if text and _NUMBER.fullmatch(text) else None


def _read_time(text: str | None) -> datetime | None:
    seconds = _read_number(text)
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
