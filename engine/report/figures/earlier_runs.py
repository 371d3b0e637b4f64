"""The earlier runs of a campaign, to compare a run with."""

from datetime import datetime

from engine.ledger import snapshots
from engine.ledger.database import Ledger
from engine.ledger.journal import Outcome
from engine.ledger.runs import Run
from engine.report.accounts import Accounts
from engine.report.figures.document import EarlierRun
from engine.report.run_accounts import make_accounts
from engine.store.port import Store

MOST = 10


def list_earlier_runs(ledger: Ledger, store: Store, run: Run, now: datetime) -> list[EarlierRun]:
    """List the runs of the same campaign before a run, the newest first; those to the sandbox only for such a run."""
    campaign = run.name.partition("/")[0]
    earlier = [
        other
        for other in snapshots.list_runs(ledger)
        if other.name.partition("/")[0] == campaign
        and other.sandbox == run.sandbox
        and (other.created_at, other.name) < (run.created_at, run.name)
    ]
    found = []
    for other in earlier[:MOST]:
        totals = snapshots.read_totals(ledger, other.name, now)
        if totals is not None:
            accounts = make_accounts(totals, store)
            found.append(EarlierRun(other.name, other.started_at, to_counts(accounts), accounts.feedback))
    return found


def to_counts(accounts: Accounts) -> dict[str, int]:
    """Return the counts of `mailrun status --json` by their keys, without those of events; `excluded` is their sum."""
    return {
        "rows_read": accounts.rows_read,
        "accepted": accounts.accepted,
        "excluded": sum(accounts.excluded.values()),
        **{str(outcome): accounts.count(outcome) for outcome in Outcome},
        "in_flight": accounts.in_flight,
        "workers": accounts.workers,
    }
