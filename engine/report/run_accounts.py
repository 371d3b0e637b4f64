"""Making a run's accounts from the ledger: a sum over settled leases, and the journals of open ones."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from engine.errors import UsageError, nearest
from engine.ledger import event_flags, leases, runs, workers
from engine.ledger.journal import Outcome
from engine.ledger.leases import LeaseState
from engine.ledger.runs import Run
from engine.report.accounts import Accounts
from engine.store.port import Store


def read_accounts(tx: Connection, run: Run, store: Store, now: datetime) -> Accounts:
    """Read what became of a run's recipients so far.

    An intent without a result is in doubt; under a live worker it is in flight as well.
    """
    settled = leases.sum_settled(tx, run.name)
    begun = leases.list_open_leases(tx, run.name).get(run.name, [])
    live = workers.list_live_workers(tx, run.name, now)
    came_back = event_flags.sum_feedback(tx, run.name)
    return _add_up(tx, run, store, settled=settled, begun=begun, live=live, came_back=came_back)


def _add_up(  # noqa: PLR0913 - what was read for one run, or for all at once
    tx: Connection,
    run: Run,
    store: Store,
    *,
    settled: Mapping[Outcome, int],
    begun: Sequence[LeaseState],
    live: Collection[str],
    came_back: event_flags.Counts,
) -> Accounts:
    outcomes, in_flight = Counter(settled), 0
    for lease in begun:
        history = leases.replay_lease(tx, run.name, lease.ordinal)
        outcomes.update(result.outcome for result in history.results.values())
        outcomes[Outcome.IN_DOUBT] += len(history.open_intents)
        in_flight += len(history.open_intents) if lease.worker in live else 0
    return Accounts(
        run=run.name,
        state=run.state,
        reason=run.reason,
        paused_by=run.paused_by,
        rows_read=run.rows_read,
        accepted=run.accepted,
        excluded=run.excluded,
        outcomes=outcomes,
        in_flight=in_flight,
        started_at=run.started_at,
        finished_at=run.finished_at,
        store=store.describe(run.folder),
        workers=len(live),
        sandbox=run.sandbox,
        feedback=event_flags.to_shown(came_back),
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
    settled, begun = leases.sum_all_settled(tx), leases.list_open_leases(tx)
    live, came_back = workers.list_all_live_workers(tx, now), event_flags.sum_all_feedback(tx)
    return [
        _add_up(
            tx,
            run,
            store,
            settled=settled.get(run.name, {}),
            begun=begun.get(run.name, ()),
            live=live.get(run.name, ()),
            came_back=came_back.get(run.name, {}),
        )
        for run in runs.list_runs(tx)
    ]
