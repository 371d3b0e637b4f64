"""Rules of advice about sending: each gives its reason, or None where it does not apply."""

from engine.ledger.runs import GUARD
from engine.ledger.schema import RunState
from engine.quantities import format_count, format_share
from engine.report.figures.advice.advice_measures import count_sent, is_rate, write_rate
from engine.report.figures.document import Figures

LAUNCH = "mailrun launch CAMPAIGN --key KEY"
FAILED_MUCH = 0.05  # of accepted recipients
INVALID = 0.01  # of the rows read
THROTTLED = 0.05  # throttle replies for each recipient sent
SLOW_END = 0.5  # of the rate before
_HOUR = 3600
_INVALID = ("malformed_row", "missing_address", "invalid_address")


def is_unbalanced(figures: Figures) -> str | None:
    """Rows are missing from the accounts."""
    accounts = figures.accounts
    read, placed = accounts.get("rows_read", 0), accounts.get("accepted", 0) + accounts.get("excluded", 0)
    if read == placed:
        return None
    return f"{read:,} rows were read, but {placed:,} are accepted or excluded."


def has_in_doubt(figures: Figures) -> str | None:
    """Recipients are in doubt, without those that a live worker expects an answer for."""
    held = figures.accounts.get("in_doubt", 0) - figures.accounts.get("in_flight", 0)
    return f"{format_count(held, 'recipient')} may or may not have the message." if held > 0 else None


def is_paused_by_guard(figures: Figures) -> str | None:
    """The guard paused the run."""
    return _explain_pause(figures) if _is_paused(figures) and figures.paused_by == GUARD else None


def is_paused_by_person(figures: Figures) -> str | None:
    """A person paused the run."""
    return _explain_pause(figures) if _is_paused(figures) and figures.paused_by not in (None, GUARD) else None


def is_stopped(figures: Figures) -> str | None:
    """The run stopped, and a launch resumes it."""
    unsent = figures.accounts.get("unsent", 0)
    if _is_paused(figures) and figures.paused_by is None:
        return _explain_pause(figures)
    if figures.state == RunState.SENDING and unsent and not figures.accounts.get("workers", 0):
        return f"{format_count(unsent, 'recipient')} left, and no worker is alive."
    return None


def _is_paused(figures: Figures) -> bool:
    return figures.state == RunState.PAUSED


def _explain_pause(figures: Figures) -> str:
    left = format_count(figures.accounts.get("unsent", 0), "recipient")
    return f"{left} left; the run is paused: {figures.reason or 'no reason is recorded'}"


def fails_much(figures: Figures) -> str | None:
    """Many recipients were refused or failed."""
    lost, accepted = _count_lost(figures), figures.accounts.get("accepted", 0)
    return _explain_losses(figures) if is_rate(lost, accepted, FAILED_MUCH) else None


def fails_a_little(figures: Figures) -> str | None:
    """Some recipients were refused or failed."""
    return _explain_losses(figures) if _count_lost(figures) and fails_much(figures) is None else None


def _count_lost(figures: Figures) -> int:
    return figures.accounts.get("refused", 0) + figures.accounts.get("failed", 0)


def _explain_losses(figures: Figures) -> str:
    words = write_rate(_count_lost(figures), figures.accounts.get("accepted", 0), "were refused or failed")
    causes = [cause for one in figures.outcomes if one.outcome in ("refused", "failed") for cause in one.reasons]
    first = max(causes, key=lambda cause: cause.rows, default=None)
    return words if first is None else f"{words} Most often: {first.name}"


def is_throttled(figures: Figures) -> str | None:
    """SES throttled many calls."""
    throttled, sent = sum(figures.time_line.throttled), count_sent(figures)
    if not is_rate(throttled, sent, THROTTLED):
        return None
    return f"SES throttled {format_count(throttled, 'call')} while {format_count(sent, 'message')} went out."


def ends_slowly(figures: Figures) -> str | None:
    """The last hour of a long run was much slower than the time before it."""
    line = figures.time_line
    total = sum(line.sent)
    if figures.state != RunState.FINISHED or not line.at or line.step_seconds > _HOUR:
        return None
    end = line.at[-1] + line.step_seconds
    seconds = end - line.at[0]
    if seconds < 2 * _HOUR:
        return None
    last = sum(sent for at, sent in zip(line.at, line.sent, strict=True) if at >= end - _HOUR)
    before = (total - last) / ((seconds - _HOUR) / _HOUR)
    if last >= SLOW_END * before:
        return None
    return f"The last hour sent {format_count(last, 'message')}; the hours before sent {before:,.0f} on average."


def has_invalid_rows(figures: Figures) -> str | None:
    """Many rows have no valid address."""
    invalid = sum(cause.rows for cause in figures.exclusions if cause.name in _INVALID)
    return _write_rows(invalid, figures, "have no valid address") if _is_part(invalid, figures) else None


def has_missing_data(figures: Figures) -> str | None:
    """Many rows miss a required value."""
    missing = sum(cause.rows for cause in figures.exclusions if cause.name == "missing_data")
    return _write_rows(missing, figures, "miss a required value") if _is_part(missing, figures) else None


def _is_part(rows: int, figures: Figures) -> bool:
    return is_rate(rows, figures.accounts.get("rows_read", 0), INVALID, fewest=1)


def _write_rows(rows: int, figures: Figures, words: str) -> str:
    read = figures.accounts["rows_read"]
    return f"{rows:,} of {format_count(read, 'row')} {words} ({format_share(rows, read)})."
