"""Rules of advice about events of recipients: each gives its reason, or None where it does not apply."""

from datetime import timedelta

from engine.ledger.schema import RunState
from engine.quantities import format_count, format_share
from engine.report.binomial import is_above
from engine.report.figures.advice.advice_measures import (
    count_delivered,
    count_event,
    count_sent,
    has_words,
    is_rate,
    sum_diagnoses,
    write_rate,
)
from engine.report.figures.document import BreakdownRow, Diagnosis, Figures

# SES reviews an account at 5 % bounces, and may pause it at 10 % (AWS, "Amazon SES sending review process FAQs").
BOUNCES_PAUSE, BOUNCES_REVIEW, BOUNCES_NOTICEABLE = 0.10, 0.05, 0.02
# SES reviews an account at 0.1 % complaints (same source). Gmail and Yahoo ask senders to stay below 0.1 %, and never
# to reach 0.3 % (their sender guidelines).
COMPLAINTS_MANY, COMPLAINTS_SOME = 0.003, 0.001
FEWEST_COMPLAINTS = 2
SURE = 0.95  # that the rate of complaints is not 0.1 % or less, which a few complaints do not show
SPAM, UNKNOWN_USERS, FULL = 0.005, 0.01, 0.005  # of what was sent
UNSUBSCRIBED, DELAYED, DMARC_FAILED = 0.005, 0.10, 0.01
MACHINES = 0.5  # of the recipients whose message was opened
RECEIVER_SENT, RECEIVER_RATE, RECEIVER_TIMES = 100, 0.05, 3.0
SUPPRESSED = 1
WAIT = timedelta(hours=1)  # for the first events, after the end
_AUTHENTICATION = ("5.7.23", "5.7.25", "5.7.26", "5.7.27", "5.7.30", "5.7.509", "5.7.515")
_AUTHENTICATION_WORDS = ("dmarc", "dkim", "spf ", "unauthenticated", "not authenticated")
_SPAM_WORDS = ("spam", "reputation", "blocklist", "block list", "blacklist", "unsolicited", "policy")
_UNKNOWN_CODES = ("5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.4.4")
_UNKNOWN_WORDS = ("user unknown", "unknown user", "does not exist", "no such user", "no mailbox", "not found")
_FULL_CODES = ("4.2.2", "5.2.2")
_FULL_WORDS = ("mailbox full", "mailbox is full", "quota", "out of storage")


def has_no_events(figures: Figures) -> str | None:
    """A run ended some time ago, and no event has arrived."""
    sent = count_sent(figures)
    if figures.transport != "ses" or not sent or any(figures.feedback.values()) or figures.state != RunState.FINISHED:
        return None
    if figures.finished_at is None or figures.made_at - figures.finished_at < WAIT:
        return None
    return f"{format_count(sent, 'message')} went out, and no event has arrived."


def bounces_like_a_paused_account(figures: Figures) -> str | None:
    """The bounce rate at which SES may pause an account."""
    return _judge_bounces(figures, BOUNCES_PAUSE, None)


def bounces_like_a_reviewed_account(figures: Figures) -> str | None:
    """The bounce rate at which SES reviews an account."""
    return _judge_bounces(figures, BOUNCES_REVIEW, BOUNCES_PAUSE)


def bounces_noticeably(figures: Figures) -> str | None:
    """A bounce rate above that of a clean list."""
    return _judge_bounces(figures, BOUNCES_NOTICEABLE, BOUNCES_REVIEW)


def _judge_bounces(figures: Figures, limit: float, next_limit: float | None) -> str | None:
    bounced, sent = count_event(figures, "bounced"), count_sent(figures)
    if not is_rate(bounced, sent, limit) or (next_limit is not None and is_rate(bounced, sent, next_limit)):
        return None
    return write_rate(bounced, sent, "bounced permanently")


def is_complained_of_much(figures: Figures) -> str | None:
    """A complaint rate at which receivers block."""
    return _judge_complaints(figures, COMPLAINTS_MANY, None)


def is_complained_of(figures: Figures) -> str | None:
    """A complaint rate at which SES reviews an account, and above what receivers ask for."""
    return _judge_complaints(figures, COMPLAINTS_SOME, COMPLAINTS_MANY)


def _judge_complaints(figures: Figures, limit: float, next_limit: float | None) -> str | None:
    complained, delivered = count_event(figures, "complained"), count_delivered(figures)
    if not is_rate(complained, delivered, limit, FEWEST_COMPLAINTS) or not _is_sure(complained, delivered):
        return None
    if next_limit is not None and is_rate(complained, delivered, next_limit):
        return None
    return write_rate(complained, delivered, "complained")


def _is_sure(complained: int, delivered: int) -> bool:
    return is_above(min(complained, delivered), delivered, limit=COMPLAINTS_SOME, confidence=SURE)


def is_maybe_complained_of(figures: Figures) -> str | None:
    """A complaint rate above what receivers ask for, of so few complaints that it may be chance."""
    complained, delivered = count_event(figures, "complained"), count_delivered(figures)
    if not is_rate(complained, delivered, COMPLAINTS_SOME, FEWEST_COMPLAINTS) or _is_sure(complained, delivered):
        return None
    return write_rate(complained, delivered, "complained") + " So few may be chance: compare the next runs."


def is_unauthenticated(figures: Figures) -> str | None:
    """Receivers refused mail that is not authenticated."""
    refused = sum_diagnoses(figures, _is_authentication)
    return f"{format_count(refused, 'recipient')} bounced because of authentication." if refused else None


def _is_authentication(one: Diagnosis) -> bool:
    return one.code in _AUTHENTICATION or has_words(f"{one.text} ", _AUTHENTICATION_WORDS)


def fails_dmarc(figures: Figures) -> str | None:
    """Receivers report that mail through SES fails DMARC."""
    dmarc = figures.dmarc
    if dmarc is None or not is_rate(dmarc.failed, dmarc.messages, DMARC_FAILED):
        return None
    return (
        f"{dmarc.failed:,} of {format_count(dmarc.messages, 'message')} from {dmarc.domain} through SES failed DMARC."
    )


def is_refused_as_spam(figures: Figures) -> str | None:
    """Receivers refused mail by their spam policy."""
    refused, sent = sum_diagnoses(figures, _is_spam), count_sent(figures)
    return write_rate(refused, sent, "bounced by a policy against spam") if is_rate(refused, sent, SPAM) else None


def _is_spam(one: Diagnosis) -> bool:
    return not _is_authentication(one) and (one.code.startswith("5.7.") or has_words(one.text, _SPAM_WORDS))


def has_unknown_users(figures: Figures) -> str | None:
    """Many mailboxes do not exist."""
    unknown, sent = sum_diagnoses(figures, _is_unknown), count_sent(figures)
    return write_rate(unknown, sent, "do not exist") if is_rate(unknown, sent, UNKNOWN_USERS) else None


def _is_unknown(one: Diagnosis) -> bool:
    return one.kind == "hard" and (one.code in _UNKNOWN_CODES or has_words(one.text, _UNKNOWN_WORDS))


def finds_full_mailboxes(figures: Figures) -> str | None:
    """Many mailboxes are full."""
    full, sent = sum_diagnoses(figures, _is_full), count_sent(figures)
    return write_rate(full, sent, "have a full mailbox") if is_rate(full, sent, FULL) else None


def _is_full(one: Diagnosis) -> bool:
    return one.code in _FULL_CODES or has_words(one.text, _FULL_WORDS)


def is_delayed(figures: Figures) -> str | None:
    """Receivers delayed many messages."""
    delayed, sent = count_event(figures, "delayed"), count_sent(figures)
    return write_rate(delayed, sent, "were delayed by their receiver") if is_rate(delayed, sent, DELAYED) else None


def is_unsubscribed_from(figures: Figures) -> str | None:
    """Many recipients opted out."""
    total, delivered = figures.unsubscribes.total, count_delivered(figures)
    return write_rate(total, delivered, "unsubscribed") if is_rate(total, delivered, UNSUBSCRIBED) else None


def is_suppressed_by_provider(figures: Figures) -> str | None:
    """SES's own list had addresses that mailrun's does not have."""
    suppressed = count_event(figures, "provider_suppressed")
    if suppressed < SUPPRESSED:
        return None
    return f"SES did not try {format_count(suppressed, 'recipient')}: its own list has them."


def is_opened_by_machines(figures: Figures) -> str | None:
    """Machines made most of the opens."""
    machines = sum(figures.opens.machines.values())
    opened = machines + figures.opens.people
    if not is_rate(machines, opened, MACHINES):
        return None
    return f"{machines:,} of {format_count(opened, 'opened message')} were opened by machines alone."


def has_a_bad_receiver(figures: Figures) -> str | None:
    """One receiver bounces far more than all others together."""
    rows = next((table.rows for table in figures.tables if table.by == "receiver"), ())
    sent, bad = sum(row.sent for row in rows), sum(map(_count_bad, rows))
    for row in sorted(rows, key=_count_bad, reverse=True):
        others = (bad - _count_bad(row)) / (sent - row.sent) if sent > row.sent else None
        rate = _count_bad(row) / row.sent if row.sent >= RECEIVER_SENT else 0.0
        if row.value and others is not None and rate >= RECEIVER_RATE and rate >= RECEIVER_TIMES * others:
            return (
                f"{_count_bad(row):,} of {format_count(row.sent, 'message')} to {row.value} bounced"
                f" ({format_share(_count_bad(row), row.sent)}); of all others,"
                f" {format_share(bad - _count_bad(row), sent - row.sent)}."
            )
    return None


def _count_bad(row: BreakdownRow) -> int:
    return row.feedback.get("bounced", 0) + row.feedback.get("soft_bounced", 0)
