"""`mailrun prune`: what is kept longer than it has to be is removed.

Of a run its counts stay for ever, and with them its key: it is never sent again.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from engine.clock import Clock
from engine.feedback.matching import remove_indexes
from engine.feedback.volume import prune_events
from engine.ledger import feedback, leases, runs
from engine.ledger.database import Ledger
from engine.ledger.decisions import Decision, record_decision, whoami
from engine.ledger.runs import Run
from engine.run.manifest import FILE
from engine.store.folder import Store


@dataclass(frozen=True, slots=True)
class Prunable:
    """Runs whose files may go, the oldest first, and the day before which events may."""

    runs: tuple[Run, ...]
    events_before: date


def find_prunable(ledger: Ledger, *, older_than: timedelta, clock: Clock) -> Prunable:
    """Find runs that ended longer ago than that and still have their files."""
    limit = clock.now() - older_than
    with ledger.read() as tx:
        ended = [r for r in runs.list_runs(tx) if r.state in runs.OVER and r.pruned_at is None]
    old = [run for run in ended if (run.finished_at or run.created_at) < limit]
    return Prunable(tuple(reversed(old)), limit.date())


def prune(prunable: Prunable, ledger: Ledger, store: Store, clock: Clock) -> list[date]:
    """Remove the runs' folders and their leases in the ledger; finishes what an earlier prune left half-way.

    Returns:
        The days whose events were removed.

    Raises:
        MailrunError: ledger or store could not be written; doing it again does the rest.
    """
    for run in prunable.runs:
        with ledger.write() as tx:
            leases.collapse_leases(tx, run.name, run.finished_at or clock.now())
            feedback.collapse_feedback(tx, run.name)
            runs.mark_pruned(tx, run.name, clock.now())
            record_decision(tx, Decision(run.name, clock.now(), whoami(), "prune", {"accepted": run.accepted}))
        store.delete_folder(run.folder)
        remove_indexes(store, run.name)
    with ledger.read() as tx:
        pruned = [run for run in runs.list_runs(tx) if run.pruned_at is not None]
    for run in pruned:
        if store.read(f"{run.folder}/{FILE}") is not None:
            store.delete_folder(run.folder)
    return prune_events(store, prunable.events_before)
