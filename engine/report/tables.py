"""The accounts as a table for a terminal."""

from collections.abc import Iterator

from engine.ledger.event_flags import SHOWN
from engine.ledger.journal import Outcome
from engine.report.accounts import Accounts

_WIDTH = 46


def render_accounts(accounts: Accounts) -> str:
    """Write the accounts as plain text; the last line shows whether they add up."""
    return "\n".join(_lines(accounts))


def _lines(accounts: Accounts) -> Iterator[str]:
    yield f"{accounts.run}  {accounts.state}{_took(accounts)}"
    yield "─" * _WIDTH
    yield _entry("rows read", accounts.rows_read)
    for reason, rows in accounts.excluded.items():
        yield _entry(f"  - {reason.replace('_', ' ')}", rows)
    yield _entry("accepted", accounts.accepted)
    for outcome in Outcome:
        count = accounts.count(outcome)
        if count or (outcome is Outcome.SENT and accounts.started_at):
            in_flight = accounts.in_flight if outcome is Outcome.IN_DOUBT else 0
            note = f"  ({in_flight:,} in flight)" if in_flight else ""
            yield _entry(f"  → {outcome.replace('_', ' ')}", count) + note
    for name in SHOWN:
        if count := accounts.feedback.get(name, 0):
            yield _entry(f"  ← {name.replace('_', ' ')}", count)
    yield "─" * _WIDTH
    yield _proof(accounts)


def _entry(label: str, number: int) -> str:
    return f"{label:<30}{number:>{_WIDTH - 30},}"


def _took(accounts: Accounts) -> str:
    if accounts.started_at is None or accounts.finished_at is None:
        return ""
    return f" in {(accounts.finished_at - accounts.started_at).total_seconds():,.1f} s"


def _proof(accounts: Accounts) -> str:
    if not accounts.balanced:
        return f"NOT BALANCED: run `mailrun audit {accounts.run}`"
    excluded = sum(accounts.excluded.values())
    outcomes = " + ".join(f"{accounts.count(o):,} {o.replace('_', ' ')}" for o in Outcome if accounts.count(o)) or "0"
    return (
        f"balanced: {accounts.rows_read:,} read = {accounts.accepted:,} accepted + {excluded:,} excluded;"
        f" {accounts.accepted:,} = {outcomes}"
    )
