"""The meaning of every SMTP reply, by phase, code and text. replies.py has those of the API.

Sources: RFC 5321 4.2; SES developer guide, "Troubleshooting Amazon SES SMTP issues" for the texts. A reply with a code
is always certain: 4xx and 5xx say that the message was not accepted, whatever the phase (RFC 5321 4.2.1).
"""

from collections.abc import Mapping
from enum import StrEnum

from engine.delivery.replies import TEXTS, ReplyMeaning, ReplyRule, SendReply, bound_detail, is_unverified_sender


class Phase(StrEnum):
    """How far a hand-over has come, which decides what a lost connection means."""

    LOGIN = "before the message"
    MAIL = "at MAIL FROM"
    RCPT = "at RCPT TO"
    DATA = "at DATA"
    DOT = "after the final dot"


_OTHER_REMEDY = "read the server's reply, fix its cause, then launch again"
_CREDENTIALS = ReplyRule(
    ReplyMeaning.PAUSE, "check the SMTP user name and password (for SES: of this region), then launch again"
)
_SENDER = ReplyRule(ReplyMeaning.PAUSE, "verify the sender or its domain with the server, then launch again")

# Read before the codes: the texts of servers are more specific.
SMTP_TEXTS: Mapping[str, ReplyRule] = {
    **TEXTS,
    "too many concurrent": ReplyRule(ReplyMeaning.UNREACHABLE),
    "temporary authentication failure": ReplyRule(ReplyMeaning.UNREACHABLE),
    "throttling failure": ReplyRule(ReplyMeaning.SLOW_DOWN),
    "account not subscribed": ReplyRule(
        ReplyMeaning.PAUSE, "sign this account up for SES in this region, then launch again"
    ),
    "configuration set does not exist": ReplyRule(
        ReplyMeaning.PAUSE, "create the configuration set in this account and region, then launch again"
    ),
    "sending paused": ReplyRule(
        ReplyMeaning.PAUSE, "find out why sending is paused for the account, enable it, then launch again"
    ),
    "account is suspended": ReplyRule(ReplyMeaning.PAUSE, "SES has suspended the account; see the AWS Support Center"),
}

_REFUSED = ReplyRule(ReplyMeaning.REFUSED)
SMTP_CODES: Mapping[int, ReplyRule] = {
    421: ReplyRule(ReplyMeaning.UNREACHABLE),  # the service is closing the connection
    432: ReplyRule(ReplyMeaning.UNREACHABLE),  # RFC 4954: a password transition is needed
    450: ReplyRule(ReplyMeaning.RETRY),  # mailbox busy, greylisting
    451: ReplyRule(ReplyMeaning.RETRY),  # local error, or SES's "Temporary service failure"
    452: ReplyRule(ReplyMeaning.RETRY),  # out of storage, or too many recipients
    454: ReplyRule(
        ReplyMeaning.RETRY
    ),  # SES's "Temporary service failure" and throttles; the latter are recognized by their text
    455: ReplyRule(ReplyMeaning.RETRY),
    500: _REFUSED,
    501: _REFUSED,
    502: _REFUSED,
    503: _REFUSED,
    504: _REFUSED,
    530: _CREDENTIALS,
    534: _CREDENTIALS,
    535: _CREDENTIALS,
    538: _CREDENTIALS,
    550: _REFUSED,
    551: _REFUSED,
    552: _REFUSED,  # "Message is too long."
    553: _REFUSED,  # invalid address
    554: _REFUSED,  # rejected content; "Access denied" and unverified senders are recognized by their text
    555: _REFUSED,
    556: _REFUSED,
}


def read_smtp(code: int, text: str, phase: Phase, *, sender: str, ses: bool = True) -> SendReply:
    """Read a reply other than the expected one.

    Args:
        code: three digits.
        text: what follows.
        phase: of the hand-over.
        sender: the bare address of `from`, to distinguish an unverified sender from an unverified recipient.
        ses: the server is SES; remedies for other servers do not mention SES.
    """
    detail = bound_detail(f"{code} {' '.join(text.split())}".strip())
    lower = text.lower()
    rule = _SENDER if is_unverified_sender(lower, sender) else _find_rule(code, lower, phase)
    remedy = rule.remedy if ses or "SES" not in rule.remedy else _OTHER_REMEDY
    return SendReply(rule.meaning, detail=detail, remedy=remedy)


def is_passing(code: int) -> bool:
    """Return whether a reply is temporary: the same command may succeed later (RFC 5321 4.2.1)."""
    return code // 100 == 4


def wants_fewer_connections(code: int, text: str) -> bool:
    """Return whether a server refuses a connection because too many are open.

    SES: "421 Too many concurrent SMTP connections"; Postfix: "421 4.7.0 … too many connections from …".
    """
    return code == 421 and "too many" in text.lower()


def _find_rule(code: int, lower: str, phase: Phase) -> ReplyRule:
    known = next((rule for words, rule in SMTP_TEXTS.items() if words in lower), None)
    match code // 100, phase:
        case (4, _):
            return known or SMTP_CODES.get(code, ReplyRule(ReplyMeaning.RETRY))
        case (5, Phase.LOGIN):
            return known or _CREDENTIALS
        case (5, Phase.MAIL) if code in (550, 553, 554):
            return known or _SENDER  # the sender was refused: every other message would be refused too
        case (5, _):
            return known or SMTP_CODES.get(code, _REFUSED)
        case _:  # not a reply of SMTP
            return ReplyRule(ReplyMeaning.IN_DOUBT if phase is Phase.DOT else ReplyMeaning.UNREACHABLE)
