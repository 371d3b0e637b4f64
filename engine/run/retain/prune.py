"""`mailrun prune`: removes old personal data.

The counts and the key of a run stay permanently, so that the key is never sent again.
"""

from datetime import date, datetime, timedelta

from msgspec import Struct, field

from engine.audience.spec import MOST_CAP_DAYS
from engine.clock import Clock
from engine.feedback.events.event_files import QUARANTINE, prune_events
from engine.feedback.events.matching import remove_indexes
from engine.feedback.inbound.intake import REFUSED
from engine.ledger import event_flags, leases, runs, snapshots
from engine.ledger.database import Ledger
from engine.ledger.decisions import Decision, find_user, record_decision
from engine.ledger.figures import pace
from engine.ledger.runs import Run
from engine.ledger.suppressed import opt_outs
from engine.run.ownership import find_other_owner, has_files
from engine.run.prepare.replan import SHELVES
from engine.run.retain.leftovers import finish_or_remove_staged, remove_old
from engine.store.day_folders import prune_days
from engine.store.dmarc_reports import DMARC
from engine.store.files import delete_tree
from engine.store.history import HISTORY
from engine.store.insights import INSIGHTS, KEPT
from engine.store.port import Store
from engine.system.temporary import remove_abandoned


class Prunable(Struct, frozen=True):
    """Data that may be removed.

    Attributes:
        runs: runs whose files may be removed, the oldest first.
        before: other data older than this may be removed.
        elsewhere: runs that ended as long ago, and whose files are not here or another ledger's -> the store or ledger
            that they belong to, empty where it is not known; they are left alone.
    """

    runs: tuple[Run, ...]
    before: datetime
    elsewhere: dict[str, str] = field(default_factory=dict)


class Pruned(Struct, frozen=True):
    """Removed data other than the files of runs.

    Attributes:
        events: the days whose events were removed.
        history: the days whose history of messages was removed.
        aside: number of quarantined files.
        shelves: plans and previews of no run.
        unfinished: number of files and folders of killed commands: half-written, temporary, staged.
    """

    events: list[date]
    history: list[date]
    aside: int
    shelves: list[str]
    unfinished: int


def find_prunable(ledger: Ledger, store: Store, *, older_than: timedelta, clock: Clock) -> Prunable:
    """Find runs that ended longer ago than that and still have their files, in this store."""
    limit = clock.now() - older_than
    ended = [r for r in snapshots.list_runs(ledger) if r.state in runs.OVER and r.pruned_at is None]
    old = [run for run in ended if (run.finished_at or run.created_at) < limit]
    mine, elsewhere = list[Run](), dict[str, str]()
    for run in reversed(old):
        other = find_other_owner(run, store, ledger)
        if other is None:
            store.place(run.name, run.manifest_digest)  # None where its launch was killed before that
        if other is None and has_files(run, store, ledger):
            mine.append(run)
        else:
            elsewhere[run.name] = other or ""
    return Prunable(tuple(mine), limit, elsewhere)


def prune(prunable: Prunable, ledger: Ledger, store: Store, clock: Clock) -> Pruned:
    """Remove the runs' folders and their leases in the ledger; complete an interrupted earlier prune.

    The history of messages is kept for the longest period of a cap; it also shows whether an unsubscriber was mailed.

    Args:
        prunable: the data to remove.
        ledger: where the runs are.
        store: where everything is.
        clock: when.

    Raises:
        MailrunError: ledger or store could not be written; running it again removes the rest.
    """
    for run in prunable.runs:
        with ledger.write() as tx:
            leases.collapse_leases(tx, run.name, run.finished_at or clock.now())
            event_flags.collapse_feedback(tx, run.name)
            opt_outs.collapse_opt_outs(tx, run.name)
            pace.remove_samples(tx, run.name)
            runs.mark_pruned(tx, run.name, clock.now())
            record_decision(tx, Decision(run.name, clock.now(), find_user(), "prune", {"accepted": run.accepted}))
        store.delete_folder(run.folder)
        remove_indexes(store, run.name)
    finish_pruning(ledger, store)
    unfinished = finish_or_remove_staged(store, ledger, clock.now()) + store.remove_unfinished() + remove_abandoned()
    longest = clock.now() - timedelta(days=MOST_CAP_DAYS)
    prune_days(store, DMARC, prunable.before.date())
    prune_days(store, INSIGHTS, (clock.now() - KEPT).date())  # of no use any more, however long other data is kept
    return Pruned(
        events=prune_events(store, prunable.before.date()),
        history=prune_days(store, HISTORY, min(prunable.before, longest).date()),
        aside=sum(_prune_files(store, folder, prunable.before) for folder in (QUARANTINE, REFUSED)),
        shelves=_prune_shelves(store, prunable.before) + remove_old(store, ledger, prunable.before, clock.now()),
        unfinished=unfinished,
    )


def finish_pruning(ledger: Ledger, store: Store) -> list[str]:
    """Remove the files of runs that an earlier prune left half-way, or in another store; returns which."""
    pruned = [run for run in snapshots.list_runs(ledger) if run.pruned_at is not None]
    left = [run.folder for run in pruned if has_files(run, store, ledger)]
    for folder in left:
        store.delete_folder(folder)
    return [store.describe(folder) for folder in left]


def _prune_files(store: Store, folder: str, before: datetime) -> int:
    old = store.list_older(folder, before)
    for name in old:
        store.delete(f"{folder}/{name}")
    return len(old)


def _prune_shelves(store: Store, before: datetime) -> list[str]:
    """Remove plans and previews, which can be made again; they are on this machine, even with a bucket."""
    removed = []
    for folder in sorted(folder for shelf in SHELVES for folder in (store.local_folder / shelf).glob("*/")):
        try:
            written = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
        except FileNotFoundError:  # it is being made again
            continue
        if written < before.timestamp():
            delete_tree(folder)
            removed.append(str(folder))
    return removed
