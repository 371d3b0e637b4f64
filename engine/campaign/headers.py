"""A campaign's own headers and tags: the limits of SES, and how a header's value is encoded.

Limits: SES API v2 `MessageHeader` and `MessageTag`; developer guide, "Amazon SES header fields".
"""

import re
from collections.abc import Collection
from email.header import Header

LONGEST_VALUE = 995  # SESv2 MessageHeader.Value
LONGEST_HEADER = 996  # SESv2: name and value together
MOST_HEADERS = 15
UNSUBSCRIBE_HEADERS = ("List-Id", "List-Unsubscribe", "List-Unsubscribe-Post")
MOST_TAGS = 10  # per message; the API documents no limit, so this is the limit of a CloudWatch metric's dimensions
OWN_TAGS = ("mailrun-campaign", "mailrun-key", "mailrun-row")
PROOF_TAG = "mailrun-proof"  # replaces OWN_TAGS, so that the events of proofs are not counted for a run
FEEDBACK_TAGS = ("ses:feedback-id-a", "ses:feedback-id-b")
_NAME = re.compile(r"[!-9;-@A-~]{1,126}")
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
# Control characters, line and paragraph separators, marks that override the direction of what follows, lone surrogates.
NOT_IN_HEADERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_TEMPLATE_MARKS = ("{{", "{%", "{#")
# Name in lower case -> what sets it instead.
_REFUSED = {
    "from": "from", "reply-to": "reply_to", "subject": "subject", "to": "the audience", "cc": "the audience",
    "bcc": "the audience", "date": "the transport", "message-id": "the transport", "return-path": "SES",
    "mime-version": "mailrun", "received": "mail servers", "dkim-signature": "SES or your server",
    "list-unsubscribe": "[unsubscribe]", "list-unsubscribe-post": "[unsubscribe]",
    "feedback-id": "[delivery] feedback_id",
}  # fmt: skip
_REFUSED_BEGINNINGS = {
    "content-": "mailrun", "x-ses-": "[delivery]", "resent-": "anyone who resends a mail", "arc-": "mail servers",
}  # fmt: skip


def check_header_name(name: str) -> None:
    """Check the name of a header.

    Raises:
        ValueError: with two arguments: what is wrong (a predicate, such as `is too long`), and what to do.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            "is not a valid header name", "use 1 to 126 printable ASCII characters, without spaces and colons"
        )
    lowered = name.lower()
    setter = _REFUSED.get(lowered) or next(
        (setter for begin, setter in _REFUSED_BEGINNINGS.items() if lowered.startswith(begin)), None
    )
    if setter is not None:
        raise ValueError(f"cannot be set in [headers]: it is set by {setter}", f"remove it; it is set by {setter}")


def check_headers(names: Collection[str], *, unsubscribes: bool) -> None:
    """Check the names of all headers together.

    Args:
        names: of the campaign's own headers.
        unsubscribes: the messages also have the headers of unsubscribe links.

    Raises:
        ValueError: with two arguments: what is wrong (a predicate, such as `is too long`), and what to do.
    """
    lowered = [name.lower() for name in names]
    for name in names:
        if lowered.count(name.lower()) > 1:
            raise ValueError(f"sets {name} twice", "keep one of them: header names are case-insensitive")
    if unsubscribes and "list-id" in lowered:
        raise ValueError(
            "sets List-Id, which [unsubscribe] sets too",
            "remove List-Id; set the name of the list in [suppression] topic",
        )
    most = MOST_HEADERS - (len(UNSUBSCRIBE_HEADERS) if unsubscribes else 0)
    if len(names) > most:
        why = ", of which [unsubscribe] needs 3" if unsubscribes else ""
        raise ValueError(
            f"sets {len(names)} headers", f"keep at most {most}: SES accepts {MOST_HEADERS} per message{why}"
        )


def is_template(value: str) -> bool:
    """Return whether a header's value has template tags."""
    return any(mark in value for mark in _TEMPLATE_MARKS)


def check_header_value(value: str) -> None:
    """Check a header's value in campaign.toml; the value of a template is checked again in every message.

    Raises:
        ValueError: with two arguments: what is wrong (a predicate, such as `is too long`), and what to do.
    """
    if is_template(value):
        return
    if not value.strip():
        raise ValueError("is empty", "write a value, or remove the header")
    encode_header("", value)


def encode_header(name: str, value: str) -> str:
    """Return a header's value as SES accepts it: printable ASCII, other characters as encoded words (RFC 2047).

    Raises:
        ValueError: with two arguments: what is wrong (a predicate, such as `is too long`), and what to do.

    >>> encode_header("X-Shop", " Café ")
    '=?utf-8?b?Q2Fmw6k=?='
    """
    value = value.strip()
    if found := NOT_IN_HEADERS.search(value):
        mark = f"U+{ord(found[0]):04X}"
        raise ValueError(f"has a line break or control character ({mark})", "write the value on one line")
    if not value.isascii():
        value = Header(value, "utf-8").encode(maxlinelen=75, linesep="")  # RFC 2047 2: a word has 75 at most
    longest = min(LONGEST_VALUE, LONGEST_HEADER - len(name))
    if len(value) > longest:
        raise ValueError(f"is {len(value)} characters long", f"shorten it: SES accepts at most {longest} characters")
    return value


def check_tag_name(name: str) -> None:
    """Check the name of a message tag.

    Raises:
        ValueError: with two arguments: what is wrong (a predicate, such as `is too long`), and what to do.
    """
    if name in FEEDBACK_TAGS:
        return
    if name.startswith(("mailrun-", "ses:")):
        raise ValueError("is a reserved tag name", "use a name that does not begin with mailrun- or ses:")
    _check_tag_characters(name, "is not a valid tag name")


def check_tag_value(value: str) -> None:
    """Check the value of a message tag, or a part of a feedback id.

    Raises:
        ValueError: with two arguments: what is wrong (a predicate, such as `is too long`), and what to do.
    """
    _check_tag_characters(value, "is not a valid tag value")


def _check_tag_characters(text: str, what: str) -> None:
    if not _TAG.fullmatch(text):
        raise ValueError(what, "use 1 to 256 letters (A to Z), digits, - and _: SES accepts no others")


def check_tags(names: Collection[str], feedback_id: Collection[str]) -> None:
    """Check the tags of a campaign and its feedback id together.

    Raises:
        ValueError: with two arguments: what is wrong (a predicate, such as `is too long`), and what to do.
    """
    if feedback_id and any(name in FEEDBACK_TAGS for name in names):
        raise ValueError(
            "sets the feedback ID twice", "remove feedback_id, or the tags ses:feedback-id-a and ses:feedback-id-b"
        )
    count, most = len(names) + len(feedback_id), MOST_TAGS - len(OWN_TAGS)
    if count > most:
        raise ValueError(
            f"sets {count} tags", f"keep at most {most}: mailrun adds {len(OWN_TAGS)}, and {MOST_TAGS} is the limit"
        )
