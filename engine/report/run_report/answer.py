"""The answer at the top of a report: did everybody get it? Pure."""

from collections.abc import Iterator

from msgspec import Struct

from engine.ledger.journal import Outcome
from engine.quantities import format_count
from engine.report.figures.document import Figures

_NOT_DELIVERED = {
    "bounced": "bounced",
    "soft_bounced": "soft-bounced",
    "provider_suppressed": "not tried by SES, because its own list has the address",
    "rejected": "dropped by SES after it had accepted the message",
}
_MANY_LOST = 0.05  # share of recipients from which a loss is shown as a problem


class ShortAnswer(Struct, frozen=True):
    """What a report says first.

    Attributes:
        headline: the answer in a few words.
        tone: `good`, `warn`, `bad` or empty: how it is coloured.
        sentences: the accounts in words.
    """

    headline: str
    tone: str
    sentences: tuple[str, ...]


def make_answer(figures: Figures) -> ShortAnswer:
    """Say in words whether everybody got the message."""
    headline, tone = _make_headline(figures)
    return ShortAnswer(headline, tone, tuple(_tell_accounts(figures)))


def count_lost(figures: Figures) -> int:
    """Count recipients that did not get the message, or of whom that is not known: by outcome, and by events."""
    return sum(count_outcome(figures, one) for one in Outcome if one is not Outcome.SENT) + count_undelivered(figures)


def count_undelivered(figures: Figures) -> int:
    """Count recipients whose message was sent and not delivered, at most as many as were sent."""
    undelivered = sum(figures.feedback.get(kind, 0) for kind in _NOT_DELIVERED)
    return min(undelivered, count_outcome(figures, Outcome.SENT))


def count_outcome(figures: Figures, outcome: Outcome) -> int:
    """Count recipients with an outcome."""
    return figures.accounts.get(str(outcome), 0)


def has_events(figures: Figures) -> bool:
    """Return True if at least one event of the run has been processed."""
    return any(figures.feedback.values())


def _make_headline(figures: Figures) -> tuple[str, str]:
    accepted, sent = figures.accounts.get("accepted", 0), count_outcome(figures, Outcome.SENT)
    everybody, left = format_count(accepted, "recipient"), count_outcome(figures, Outcome.UNSENT)
    to_do = f"{format_count(left, 'recipient')} left to send to"
    unfinished = {
        "planned": (f"Not yet: {everybody} planned, nothing sent", ""),
        "sending": (f"Not yet: {sent:,} of {everybody} sent so far", ""),
        "paused": (f"Not yet: paused with {to_do}", "warn"),
        "cancelled": (f"No: cancelled with {to_do}", "bad"),
    }
    if figures.state in unfinished:
        return unfinished[figures.state]
    if not accepted:
        return "Nobody: the run has no recipients", "warn"
    if lost := count_lost(figures):
        unsure = ", or may not have" if count_outcome(figures, Outcome.IN_DOUBT) else ""
        tone = "bad" if lost > _MANY_LOST * accepted else "warn"
        return f"Not everybody: {lost:,} of {everybody} did not get it{unsure}", tone
    return _tell_deliveries(figures.feedback.get("delivered", 0), accepted, everybody), "good"


def _tell_deliveries(delivered: int, accepted: int, everybody: str) -> str:
    if delivered >= accepted:
        return f"Yes: delivered to all {everybody}"
    confirmed = f"{delivered:,} deliveries confirmed so far" if delivered else "no delivery confirmed yet"
    return f"Sent to all {everybody}; {confirmed}"


def _tell_accounts(figures: Figures) -> Iterator[str]:
    accounts, sent = figures.accounts, count_outcome(figures, Outcome.SENT)
    rows, accepted = accounts.get("rows_read", 0), accounts.get("accepted", 0)
    excluded = rows - accepted
    left_out = f", {excluded:,} excluded" if excluded else ", none excluded"
    yield f"{format_count(rows, 'row')} read: {accepted:,} accepted{left_out}."
    others = [
        f"{count:,} {str(outcome).replace('_', ' ')}"
        for outcome in Outcome
        if outcome is not Outcome.SENT and (count := count_outcome(figures, outcome))
    ]
    yield f"{format_count(sent, 'message')} sent" + (f"; {', '.join(others)}." if others else ", none lost on the way.")
    if has_events(figures):
        parts = [f"{figures.feedback.get('delivered', 0):,} deliveries confirmed"]
        parts += [f"{count:,} {words}" for kind, words in _NOT_DELIVERED.items() if (count := _count(figures, kind))]
        parts += [f"{count:,} complained"] if (count := _count(figures, "complained")) else []
        yield f"Events: {', '.join(parts)}."
    elif sent:
        yield "What became of the messages is not known: no events have been processed."


def _count(figures: Figures, kind: str) -> int:
    return figures.feedback.get(kind, 0)
