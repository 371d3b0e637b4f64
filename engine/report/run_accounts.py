"""The accounts of a run from the ledger: a sum over settled leases, and the journals of open ones."""

from datetime import datetime

from engine.errors import UsageError, nearest
from engine.ledger import event_flags, snapshots
from engine.ledger.database import Ledger
from engine.ledger.runs import Run
from engine.ledger.snapshots import RunTotals
from engine.report.accounts import Accounts
from engine.store.port import Store


def require_run(ledger: Ledger, name: str) -> Run:
    """Read a run by its name.

    Raises:
        UsageError: there is no such run in the ledger.
    """
    run = snapshots.find_run(ledger, name)
    if run is None:
        raise make_unknown_run_error(ledger, name)
    return run


def make_unknown_run_error(ledger: Ledger, name: str) -> UsageError:
    """Make the error for an unknown run; it names the most similar one."""
    known = [run.name for run in snapshots.list_runs(ledger)]
    return UsageError(f"there is no run {name}", where="RUN", remedy=nearest(name, known[:20]))


def require_accounts(ledger: Ledger, name: str, store: Store, now: datetime) -> Accounts:
    """Read the accounts of a run by its name.

    Raises:
        UsageError: there is no such run.
    """
    totals = snapshots.read_totals(ledger, name, now)
    if totals is None:
        raise make_unknown_run_error(ledger, name)
    return make_accounts(totals, store)


def list_accounts(ledger: Ledger, store: Store, now: datetime) -> list[Accounts]:
    """Read the accounts of all runs, the newest first."""
    return [make_accounts(totals, store) for totals in snapshots.read_all_totals(ledger, now)]


def make_accounts(totals: RunTotals, store: Store) -> Accounts:
    """Make the accounts of a run from its counts; the store only names the place of its files."""
    run = totals.run
    return Accounts(
        run=run.name,
        state=run.state,
        reason=run.reason,
        paused_by=run.paused_by,
        rows_read=run.rows_read,
        accepted=run.accepted,
        excluded=run.excluded,
        outcomes=totals.outcomes,
        in_flight=totals.in_flight,
        started_at=run.started_at,
        finished_at=run.finished_at,
        store=store.describe(run.folder),
        workers=totals.workers,
        sandbox=run.sandbox,
        feedback=event_flags.to_shown(totals.feedback),
    )
