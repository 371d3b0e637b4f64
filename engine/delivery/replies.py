"""What every reply of the transport means: one table, decided by type, as data.

Sources: the SES v2 API's common and modelled errors, and what botocore and aiohttp raise. SES has no idempotency
token, so the one question about a failed call is whether the message may have been accepted. *Certainly not*: refused
connections, names that do not resolve, connect and handshake timeouts, and any 4xx reply that carries an SES error
code. Everything else is in doubt and is never sent again blindly.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Meaning(StrEnum):
    """What a reply means for the message and for the run."""

    SENT = "sent"
    REFUSED = "refused"  # this message or recipient, for good
    RETRY = "retry"  # certainly not accepted, for a reason that passes; used up: the message failed
    UNREACHABLE = "unreachable"  # certainly not accepted, no connection; used up: the run pauses
    SLOW_DOWN = "slow_down"  # certainly not accepted, over the rate; used up: the run pauses
    PAUSE = "pause"  # certainly not accepted, and no other message would be
    IN_DOUBT = "in_doubt"  # perhaps accepted


@dataclass(frozen=True, slots=True)
class Reply:
    """A transport's answer for one message.

    Attributes:
        meaning: what it means.
        message_id: SES's, where sent.
        detail: code and text, for outcome files and people.
        remedy: what to do, where the run pauses for it.
    """

    meaning: Meaning
    message_id: str | None = None
    detail: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a code means, and what to do where the run pauses for it."""

    meaning: Meaning
    remedy: str = ""


_QUOTA = Rule(Meaning.PAUSE, "the 24-hour quota is used up; launch again when part of it is free")
_CREDENTIALS = Rule(Meaning.PAUSE, "renew or correct the AWS credentials and their permissions, then launch again")

# Read before the codes: throttles carry different codes in different APIs, but the same texts.
TEXTS: Mapping[str, Rule] = {
    "sending rate exceeded": Rule(Meaning.SLOW_DOWN),
    "message quota exceeded": _QUOTA,
    "sending quota exceeded": _QUOTA,
}

CODES: Mapping[str, Rule] = {
    "TooManyRequestsException": Rule(Meaning.SLOW_DOWN),
    "ThrottlingException": Rule(Meaning.SLOW_DOWN),
    "Throttling": Rule(Meaning.SLOW_DOWN),
    "LimitExceededException": _QUOTA,
    "AccountSuspendedException": Rule(
        Meaning.PAUSE, "SES has suspended the account; see the case in the AWS Support Center"
    ),
    "SendingPausedException": Rule(
        Meaning.PAUSE,
        "sending is paused for the account or the configuration set; find out why, enable it, launch again",
    ),
    "MailFromDomainNotVerifiedException": Rule(
        Meaning.PAUSE, "the custom MAIL FROM domain's MX record is not as SES needs it; mend it, launch again"
    ),
    "NotFoundException": Rule(
        Meaning.PAUSE, "the configuration set (or another thing the call names) is missing in this account and region"
    ),
    "ConfigurationSetDoesNotExist": Rule(Meaning.PAUSE, "the configuration set is missing in this account and region"),
    "MessageRejected": Rule(Meaning.REFUSED),  # an unverified sender is told apart by its text, see read_error
    "BadRequestException": Rule(Meaning.REFUSED),
    "ValidationError": Rule(Meaning.REFUSED),
    "ValidationException": Rule(Meaning.REFUSED),
    "MalformedHttpRequestException": Rule(Meaning.REFUSED),
    "RequestEntityTooLargeException": Rule(Meaning.REFUSED),
    "RequestTimeoutException": Rule(Meaning.RETRY),  # 408: the server did not get the whole request
    "RequestAbortedException": Rule(Meaning.IN_DOUBT),
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

_UNVERIFIED = "email address is not verified"


def read_error(*, status: int, code: str, message: str, sender: str) -> Reply:
    """Read an error reply.

    Args:
        status: the HTTP status.
        code: the SES error code; empty where the reply carries none (a proxy's page, a bare status).
        message: its text.
        sender: the bare address of `from`, to tell an unverified sender from an unverified recipient.
    """
    detail = f"{code or status}: {message}".strip(": ")
    if not code or not 400 <= status < 500:
        return Reply(Meaning.IN_DOUBT, detail=detail)
    lower = message.lower()
    if _UNVERIFIED in lower and _names_sender(lower.partition(_UNVERIFIED)[2], sender.lower()):
        return Reply(
            Meaning.PAUSE,
            detail=detail,
            remedy=f"verify {sender} or its domain in SES (this region), then launch again",
        )
    rule = next((rule for text, rule in TEXTS.items() if text in lower), None) or CODES.get(code, Rule(Meaning.REFUSED))
    return Reply(rule.meaning, detail=detail, remedy=rule.remedy)


def _names_sender(identities: str, sender: str) -> bool:
    return sender in [word.strip(" ,.") for word in identities.replace(":", " ").split()]
