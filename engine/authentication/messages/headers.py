"""What receivers check of a message's header fields: From, one-click unsubscribing, List-Id, Date, Message-ID, lines.

Sources: RFC 5322, RFC 8058 3.1, RFC 2919, and the pages of Gmail and Yahoo for senders.
"""

import re
from collections.abc import Iterator
from email.utils import getaddresses, parsedate_to_datetime
from urllib.parse import urlsplit

from engine.authentication.alignment import clean_domain
from engine.authentication.messages.fields import LONGEST_LINE, MessageFields
from engine.authentication.results import RuleResult, Verdict
from engine.errors import escape_controls

GMAIL_RULES = "https://support.google.com/a/answer/81126"
ONE_CLICK_VALUE = "List-Unsubscribe=One-Click"
HEADER_CODES = frozenset(
    {"from_header", "one_click_headers", "list_id", "date_header", "message_id", "line_lengths"}
)  # of the rules here
_BULK = ("gmail", "yahoo")
_SHOWN = 120
_MESSAGE_ID = re.compile(r"<[^<>@\s]{1,500}@[^<>@\s]{1,500}>")
_LIST_ID = re.compile(r"[^<>]{0,500}<[^<>\s]{1,255}>")
_URI = re.compile(r"<([^<>]{1,2000})>")


def find_sender_domain(message: MessageFields) -> str:
    """Return the domain in From; empty unless there is exactly one From field with one address."""
    fields = message.all("from")
    if len(fields) != 1 or len(fields[0]) > 2000:
        return ""
    addresses = [address for _, address in getaddresses([fields[0]]) if address]
    return clean_domain(addresses[0].rpartition("@")[2]) if len(addresses) == 1 and "@" in addresses[0] else ""


def judge_headers(message: MessageFields) -> Iterator[RuleResult]:
    """Judge the header fields of a message."""
    yield _judge_from(message)
    yield _judge_one_click(message)
    yield _judge_list_id(message)
    yield _judge_date(message)
    yield _judge_message_id(message)
    yield _judge_lines(message)


def _judge_from(message: MessageFields) -> RuleResult:
    count, source = message.count("from"), "RFC 5322 3.6.2"
    if count == 1 and find_sender_domain(message):
        return RuleResult(
            "from_header", Verdict.PASS, "there is one From field with one address", "From", source=source
        )
    what = f"there are {count} From fields" if count != 1 else "From does not have exactly one valid address"
    remedy = "send the message with exactly one From field and one address in it"
    return RuleResult("from_header", Verdict.FAIL, what, "From", ("gmail", "yahoo", "microsoft"), remedy, source)


def _judge_one_click(message: MessageFields) -> RuleResult:
    code, where, source = "one_click_headers", "List-Unsubscribe", "RFC 8058 3.1"
    links, posts = message.all("list-unsubscribe"), message.all("list-unsubscribe-post")
    if not links and not posts:
        what = "there are no List-Unsubscribe fields"
        remedy = 'marketing mail needs them: set [unsubscribe] url; only kind = "transactional" goes without'
        return RuleResult(code, Verdict.ADVICE, what, where, _BULK, remedy, source)
    remedy = "set [unsubscribe] url in campaign.toml: mailrun then writes both fields"
    if len(links) != 1 or len(posts) != 1:
        what = f"not one of each: {len(links)} List-Unsubscribe and {len(posts)} List-Unsubscribe-Post fields"
        return RuleResult(code, Verdict.FAIL, what, where, _BULK, remedy, source)
    uris = [_find_scheme(uri.strip()) for uri in _URI.findall(links[0][:8192])]
    if not any(uri == "https" for uri in uris):
        what = "List-Unsubscribe has no https link, and one-click unsubscribing needs one"
        return RuleResult(code, Verdict.FAIL, what, where, _BULK, remedy, source)
    if posts[0] != ONE_CLICK_VALUE:
        what = f'List-Unsubscribe-Post is "{_show(posts[0])}", and must be "{ONE_CLICK_VALUE}"'
        return RuleResult(code, Verdict.FAIL, what, "List-Unsubscribe-Post", _BULK, remedy, source)
    return RuleResult(code, Verdict.PASS, "both fields of one-click unsubscribing are valid", where, source=source)


def _find_scheme(uri: str) -> str:
    """Return the scheme of a URI that has a host; empty for anything else."""
    try:
        parts = urlsplit(uri)
        return parts.scheme.lower() if parts.hostname else ""
    except ValueError:
        return ""


def _judge_list_id(message: MessageFields) -> RuleResult:
    value, source = message.first("list-id"), "RFC 2919"
    if value is None:
        remedy = "marketing campaigns get it from mailrun; Gmail asks for one for each list"
        return RuleResult("list_id", Verdict.ADVICE, "there is no List-Id", "List-Id", ("gmail",), remedy, source)
    if message.count("list-id") > 1 or not _LIST_ID.fullmatch(value):
        what = f'List-Id is not valid: "{_show(value)}"'
        return RuleResult("list_id", Verdict.ADVICE, what, "List-Id", ("gmail",), "write <NAME.DOMAIN>", source)
    return RuleResult("list_id", Verdict.PASS, "List-Id is valid", "List-Id", source=source)


def _judge_date(message: MessageFields) -> RuleResult:
    source, values = "RFC 5322 3.6.1", message.all("date")
    try:
        is_valid = len(values) == 1 and len(values[0]) < _SHOWN and bool(parsedate_to_datetime(values[0]))
    except (ValueError, TypeError, IndexError, OverflowError):
        is_valid = False
    if is_valid:
        return RuleResult("date_header", Verdict.PASS, "Date is valid", "Date", source=source)
    what = "Date is missing, not valid, or occurs more than once"
    return RuleResult(
        "date_header", Verdict.FAIL, what, "Date", ("gmail",), "send the message with one valid Date", source
    )


def _judge_message_id(message: MessageFields) -> RuleResult:
    source, values = "RFC 5322 3.6.4", message.all("message-id")
    if len(values) == 1 and _MESSAGE_ID.fullmatch(values[0]):
        return RuleResult("message_id", Verdict.PASS, "Message-ID is valid", "Message-ID", source=source)
    what = "Message-ID is missing, not valid, or occurs more than once"
    remedy = "let SES or your server write the Message-ID"
    return RuleResult("message_id", Verdict.FAIL, what, "Message-ID", ("gmail",), remedy, source)


def _judge_lines(message: MessageFields) -> RuleResult:
    source = "RFC 5322 2.1.1"
    if not message.long_lines and not message.bare_returns:
        what = f"no line is longer than {LONGEST_LINE} bytes"
        return RuleResult("line_lengths", Verdict.PASS, what, "message", source=source)
    what = f"{message.long_lines:,} lines are longer than {LONGEST_LINE} bytes"
    if message.bare_returns:
        what = f"{message.bare_returns:,} carriage returns have no line feed after them"
    remedy = "encode the parts as quoted-printable or base64: a server that wraps a line breaks the DKIM signature"
    return RuleResult("line_lengths", Verdict.FAIL, what, "message", ("gmail",), remedy, source)


def _show(text: str) -> str:
    return escape_controls(text[:_SHOWN])
