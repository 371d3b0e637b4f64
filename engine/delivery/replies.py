"""The meaning of every reply of SES, as tables of codes, texts and statuses.

Sources: the SES v2 API's common and modelled errors, and what botocore and aiohttp raise. SES has no idempotency
token, so the one question about a failed call is whether the message may have been accepted. *Certainly not*: refused
connections, names that do not resolve, connect and handshake timeouts, and any 4xx reply that carries an SES error
code. Everything else is in doubt and is not sent again, unless the campaign sets `in_doubt = "resend"`.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from msgspec import Struct

from engine.masking import mask_secrets, show_address


class ReplyMeaning(StrEnum):
    """What a reply means for the message and for the run."""

    SENT = "sent"
    REFUSED = "refused"  # this message or recipient, permanently
    RETRY = "retry"  # certainly not accepted, for a temporary reason; retries exhausted: the message fails
    RETRY_ONCE = "retry_once"  # certainly not accepted, no reason given; a second time: the message fails
    SPLIT = "split"  # certainly not accepted as part of this call: each message is sent again alone, at once
    UNREACHABLE = "unreachable"  # certainly not accepted, no connection; retries exhausted: the run pauses
    SLOW_DOWN = "slow_down"  # certainly not accepted, over the rate; retries exhausted: the run pauses
    QUOTA = "quota"  # certainly not accepted, the 24-hour quota is used up; the run pauses or waits, see `at_quota`
    PAUSE = "pause"  # certainly not accepted, and no other message would be
    IN_DOUBT = "in_doubt"  # perhaps accepted


class SendReply(NamedTuple):
    """A transport's answer for one message.

    Attributes:
        meaning: what it means.
        message_id: SES's, where sent.
        detail: code and text, for outcome files and people.
        remedy: what to do, where the run pauses for it.
    """

    meaning: ReplyMeaning
    message_id: str | None = None
    detail: str = ""
    remedy: str = ""


LONGEST_DETAIL = 2048  # bytes: it is kept for each recipient, and a server may send any text
_LONGEST_MASKED = 64 * 1024  # characters
_CUT = " [...]"


def bound_detail(text: str) -> str:
    """Cut an error text of a server to LONGEST_DETAIL bytes of UTF-8, and mask the secrets that it quotes.

    SES answers a wrong signature with the whole request, session token and all. Addresses stay: outcome files hold
    them anyway, and code that shows the text elsewhere masks them, see StopReason.

    >>> bound_detail("554 rejected")
    '554 rejected'
    """
    text = mask_secrets(text[:_LONGEST_MASKED])
    if len(text) <= LONGEST_DETAIL // 4:  # no character has more than 4 bytes
        return text
    data = text.encode("utf-8", "replace")
    if len(data) <= LONGEST_DETAIL:
        return text
    return data[: LONGEST_DETAIL - len(_CUT)].decode("utf-8", "ignore") + _CUT


class ReplyRule(Struct, frozen=True):
    """What a code means, and what to do where the run pauses for it."""

    meaning: ReplyMeaning
    remedy: str = ""


_QUOTA = ReplyRule(ReplyMeaning.QUOTA, "launch again when part of the 24-hour quota is free")
_CREDENTIALS = ReplyRule(
    ReplyMeaning.PAUSE, "renew or correct the AWS credentials and their permissions, then launch again"
)

# Read before the codes: throttles carry different codes in different APIs, but the same texts.
TEXTS: Mapping[str, ReplyRule] = {
    "sending rate exceeded": ReplyRule(ReplyMeaning.SLOW_DOWN),  # also "Maximum SigV2 SMTP sending rate exceeded"
    "message quota exceeded": _QUOTA,
    "sending quota exceeded": _QUOTA,
}

CODES: Mapping[str, ReplyRule] = {
    "TooManyRequestsException": ReplyRule(ReplyMeaning.SLOW_DOWN),
    "ThrottlingException": ReplyRule(ReplyMeaning.SLOW_DOWN),
    "Throttling": ReplyRule(ReplyMeaning.SLOW_DOWN),
    "LimitExceededException": _QUOTA,
    "AccountSuspendedException": ReplyRule(
        ReplyMeaning.PAUSE, "SES has suspended the account; see the case in the AWS Support Center"
    ),
    "SendingPausedException": ReplyRule(
        ReplyMeaning.PAUSE,
        "find out why sending is paused for the account, the configuration set or the tenant, enable it, then launch"
        " again",
    ),
    "MailFromDomainNotVerifiedException": ReplyRule(
        ReplyMeaning.PAUSE, "correct the MX record of the custom MAIL FROM domain, then launch again"
    ),
    "NotFoundException": ReplyRule(
        ReplyMeaning.PAUSE,
        "create the configuration set (or what else the call names: a tenant, a multi-region endpoint) in this account"
        " and region, then launch again",
    ),
    "ConfigurationSetDoesNotExist": ReplyRule(
        ReplyMeaning.PAUSE, "create the configuration set in this account and region, then launch again"
    ),
    "MessageRejected": ReplyRule(
        ReplyMeaning.REFUSED
    ),  # an unverified sender is recognized by its text, see read_error
    "BadRequestException": ReplyRule(ReplyMeaning.REFUSED),
    "ValidationError": ReplyRule(ReplyMeaning.REFUSED),
    "ValidationException": ReplyRule(ReplyMeaning.REFUSED),
    "MalformedHttpRequestException": ReplyRule(ReplyMeaning.REFUSED),
    "RequestEntityTooLargeException": ReplyRule(ReplyMeaning.REFUSED),
    "RequestTimeoutException": ReplyRule(ReplyMeaning.RETRY),  # 408: the server did not get the whole request
    "RequestAbortedException": ReplyRule(ReplyMeaning.IN_DOUBT),
    "AccessDeniedException": _CREDENTIALS,
    "AccessDenied": _CREDENTIALS,
    "ExpiredTokenException": _CREDENTIALS,
    "ExpiredToken": _CREDENTIALS,
    "IncompleteSignature": _CREDENTIALS,
    "IncompleteSignatureException": _CREDENTIALS,
    "InvalidClientTokenId": _CREDENTIALS,
    "InvalidSignatureException": _CREDENTIALS,
    "MissingAuthenticationToken": _CREDENTIALS,
    "MissingAuthenticationTokenException": _CREDENTIALS,
    "NotAuthorized": _CREDENTIALS,
    "OptInRequired": _CREDENTIALS,
    "RequestExpired": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "UnrecognizedClientException": _CREDENTIALS,
}

# For codes that are not in the table: SES may add new ones. A 4xx without any code is in doubt, see read_error.
STATUSES: Mapping[int, ReplyRule] = {
    401: _CREDENTIALS,
    403: _CREDENTIALS,
    404: ReplyRule(ReplyMeaning.PAUSE, "create what the call names in this account and region, then launch again"),
    408: ReplyRule(ReplyMeaning.RETRY),
    429: ReplyRule(ReplyMeaning.SLOW_DOWN),
}

# SendBulkEmail answers 200 and gives the status of each entry: BulkEmailStatus of the SES v2 API, and the older
# spellings of its documentation. What is not here is in doubt.
BULK_STATUSES: Mapping[str, ReplyRule] = {
    "SUCCESS": ReplyRule(ReplyMeaning.SENT),
    "MESSAGE_REJECTED": CODES["MessageRejected"],
    "MAIL_FROM_DOMAIN_NOT_VERIFIED": CODES["MailFromDomainNotVerifiedException"],
    "CONFIGURATION_SET_NOT_FOUND": CODES["ConfigurationSetDoesNotExist"],
    "CONFIGURATION_SET_DOES_NOT_EXIST": CODES["ConfigurationSetDoesNotExist"],
    "TEMPLATE_NOT_FOUND": CODES["NotFoundException"],
    "TEMPLATE_DOES_NOT_EXIST": CODES["NotFoundException"],
    "ACCOUNT_SUSPENDED": CODES["AccountSuspendedException"],
    "ACCOUNT_THROTTLED": CODES["TooManyRequestsException"],
    "ACCOUNT_DAILY_QUOTA_EXCEEDED": CODES["LimitExceededException"],
    "INVALID_SENDING_POOL_NAME": ReplyRule(
        ReplyMeaning.PAUSE,
        "name an existing pool of IP addresses in the configuration set, then launch again",
    ),
    "ACCOUNT_SENDING_PAUSED": CODES["SendingPausedException"],
    "CONFIGURATION_SET_SENDING_PAUSED": CODES["SendingPausedException"],
    "INVALID_PARAMETER": CODES["BadRequestException"],
    "INVALID_PARAMETER_VALUE": CODES["BadRequestException"],
    "TRANSIENT_FAILURE": ReplyRule(ReplyMeaning.RETRY),
    "FAILED": ReplyRule(ReplyMeaning.RETRY_ONCE),
}

# What a call says of its tenant or endpoint is the same for every message of a campaign. AWS documents neither codes
# nor texts for it, so the words are looked for; those of an address do not count.
_REACH = re.compile(
    r"(?<![\w.@+-])(tenant(name)?|endpoint ?id|(multi-region|global)[ -]endpoint)s?(?!\.?[\w@+-])", re.IGNORECASE
)
_REACH_RULE = ReplyRule(
    ReplyMeaning.PAUSE,
    "correct [delivery] tenant or endpoint_id, or associate the identity and the configuration set with the tenant,"
    " then launch again",
)
_UNVERIFIED = "email address is not verified"


def read_error(*, status: int, code: str, message: str, sender: str) -> SendReply:
    """Read an error reply.

    Args:
        status: the HTTP status.
        code: the SES error code; empty where the reply carries none (a proxy's page, a bare status).
        message: its text.
        sender: the bare address of `from`, to distinguish an unverified sender from an unverified recipient.
    """
    detail = bound_detail(f"{code or status}: {message}".strip(": "))
    if not code or not 400 <= status < 500:
        return SendReply(ReplyMeaning.IN_DOUBT, detail=detail)
    rule = CODES.get(code) or STATUSES.get(status) or ReplyRule(ReplyMeaning.REFUSED)
    return _read_text(rule, message, detail=detail, sender=sender)


def read_bulk_entry(entry: Mapping[str, Any], *, sender: str) -> SendReply:
    """Read one of BulkEmailEntryResults.

    Args:
        entry: `Status`, with `MessageId` or `Error`.
        sender: as in read_error.
    """
    status, message = str(entry.get("Status", "")), str(entry.get("Error") or "")
    rule = BULK_STATUSES.get(status, ReplyRule(ReplyMeaning.IN_DOUBT))
    if rule.meaning is ReplyMeaning.SENT:
        message_id = entry.get("MessageId")
        if not message_id:
            return SendReply(ReplyMeaning.IN_DOUBT, detail="SES answered SUCCESS without a message id")
        return SendReply(ReplyMeaning.SENT, message_id=message_id)
    return _read_text(
        rule, message, detail=bound_detail(f"{status or 'no status'}: {message}".strip(": ")), sender=sender
    )


def _read_text(rule: ReplyRule, message: str, *, detail: str, sender: str) -> SendReply:
    """Use the text of an error where it is more specific than its code."""
    lower = message.lower()
    if is_unverified_sender(lower, sender):
        return SendReply(
            ReplyMeaning.PAUSE,
            detail=detail,
            remedy=f"verify {sender} or its domain in SES (this region), then launch again",
        )
    known = next((rule for text, rule in TEXTS.items() if text in lower), rule)
    if known.meaning is ReplyMeaning.REFUSED and _REACH.search(message):
        known = _REACH_RULE
    return SendReply(known.meaning, detail=detail, remedy=known.remedy)


def is_unverified_sender(lower: str, sender: str) -> bool:
    """Return whether an error's text, in lower case, reports the sender as not verified; it may report a recipient."""
    if _UNVERIFIED not in lower:
        return False
    named = lower.partition(_UNVERIFIED)[2].replace(":", " ").split()
    show_address(sender)
    return sender.lower() in [word.strip(" ,.<>()\"'") for word in named]
