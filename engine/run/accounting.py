"""Making a run's accounts from the ledger: a sum over settled leases, and the journals of open ones."""

from collections import Counter
from datetime import datetime

from sqlalchemy import Connection

from engine.errors import UsageError, nearest
from engine.ledger import leases, runs, workers
from engine.ledger.journal import Outcome
from engine.ledger.runs import Run
from engine.report.accounts import Accounts
from engine.store.folder import Store


def read_accounts(tx: Connection, run: Run, store: Store, now: datetime) -> Accounts:
    """Read what became of a run's recipients so far.

    An intent without a result is in doubt; under a live worker it is in flight as well.
    """
    outcomes = Counter(leases.sum_settled(tx, run.name))
    alive = workers.list_live_workers(tx, run.name, now)
    in_flight = 0
    for lease in leases.list_leases(tx, run.name):
        if lease.settlement is not None or lease.epoch == 0:
            continue
        history = leases.replay_lease(tx, run.name, lease.ordinal)
        outcomes.update(result.outcome for result in history.results.values())
        outcomes[Outcome.IN_DOUBT] += len(history.open_intents)
        in_flight += len(history.open_intents) if lease.worker in alive else 0
    return Accounts(
        run=run.name,
        state=run.state,
        reason=run.reason,
        rows_read=run.rows_read,
        accepted=run.accepted,
        excluded=run.excluded,
        outcomes=outcomes,
        in_flight=in_flight,
        started_at=run.started_at,
        finished_at=run.finished_at,
        store=store.root / run.folder,
    )


def require_run(tx: Connection, name: str) -> Run:
    """Read a run by its name.

    Raises:
        UsageError: the ledger does not know it.
    """
    run = runs.find_run(tx, name)
    if run is None:
        known = [run.name for run in runs.list_runs(tx)]
        raise UsageError(f"there is no run {name}", where="RUN", remedy=nearest(name, known[:20]))
    return run


def require_accounts(tx: Connection, name: str, store: Store, now: datetime) -> Accounts:
    """Read a run's accounts by its name; raises as require_run."""
    return read_accounts(tx, require_run(tx, name), store, now)


def list_accounts(tx: Connection, store: Store, now: datetime) -> list[Accounts]:
    """Read the accounts of all runs, the newest first."""
    return [read_accounts(tx, run, store, now) for run in runs.list_runs(tx)]
