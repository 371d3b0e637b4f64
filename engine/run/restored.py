"""Detecting a ledger that is older than what was sent, by the marks of leases and the outcomes files in the store.

A ledger was restored from a backup if a journal ends before the point at which a mark says that it was durable. It was
also restored if it has a lease open under the epoch of an outcomes file, without every result of that file.
"""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

from engine.clock import SystemClock
from engine.errors import DataError
from engine.ledger import runs, snapshots, workers
from engine.ledger.database import Ledger
from engine.ledger.leases import LeaseState
from engine.ledger.runs import Run
from engine.ledger.snapshots import RunSnapshot
from engine.store.outcomes_files import OutcomesFiles
from engine.store.port import Store


def find_ahead(ledger: Ledger, run: Run, store: Store) -> dict[int, int]:
    """Find the leases for which the store has newer records than the ledger: ordinal -> the newest epoch in the store.

    The store is read first: the ledger moves ahead of it in the meantime, never behind.
    """
    files = OutcomesFiles(store, run.folder)
    marks, written = files.list_marks(), files.list_published() | files.list_staged()
    if not marks and not written:
        return {}
    states = snapshots.list_leases(ledger, run.name)
    newest: dict[int, int] = {}
    for ordinal, epoch in marks | files.list_published():
        newest[ordinal] = max(epoch, newest.get(ordinal, 0))
    ahead = {o: epoch for o, epoch in newest.items() if o in states and epoch > states[o].epoch}
    open_leases = [s for s in states.values() if s.settlement is None and s.epoch and s.ordinal not in ahead]
    durable = {s.ordinal: files.read_mark(s.ordinal, s.epoch) for s in open_leases if (s.ordinal, s.epoch) in marks}
    unknown = {s.worker for s in open_leases if s.worker and durable.get(s.ordinal, 0) is None}
    alive = _find_alive(ledger, unknown)
    suspects = [s for s in open_leases if s.worker not in alive]
    now = snapshots.read_run(ledger, run.name)
    if now is None:
        return ahead
    has_file = {s.ordinal for s in suspects if (s.ordinal, s.epoch) in written}
    return ahead | _find_short_journals(now, suspects, durable, has_file, is_one_machine=ledger.is_of_one_machine)


def _find_alive(ledger: Ledger, owners: set[str]) -> set[str]:
    """Find the owners that write heartbeats to this ledger now: it is the one that they use, and not a restored one.

    They are watched in a thread, because the caller may be inside an event loop.
    """
    if not owners:
        return set()
    with ThreadPoolExecutor(1) as thread:
        return owners - thread.submit(workers.find_gone_workers, ledger, owners, SystemClock()).result()


def _find_short_journals(
    now: RunSnapshot,
    suspects: list[LeaseState],
    durable: Mapping[int, int | None],
    has_file: Collection[int],
    *,
    is_one_machine: bool,
) -> dict[int, int]:
    """Find open leases whose journal ends before their mark, or has less than their outcomes file.

    Args:
        now: the run, read after the store.
        suspects: open leases, as they were read before the store.
        durable: ordinal of a lease with a mark of its epoch -> the last sequence that the mark says was durable; None
            if that is not known on this machine.
        has_file: ordinals of the leases with an outcomes file of their epoch. All their rows had an outcome.
        is_one_machine: the ledger is a file, so that every mark is on this machine.
    """
    short: dict[int, int] = {}
    for state in suspects:
        if now.leases.get(state.ordinal) != state:
            continue  # its owner has continued meanwhile, in this ledger
        sequence = durable.get(state.ordinal, 0)
        is_unknown = sequence is None and (is_one_machine or now.run.suspect)
        ends_early = (sequence or 0) > now.sequences.get((state.ordinal, state.epoch), 0)
        lacks_results = state.ordinal in has_file and len(now.replays[state.ordinal].results) < state.rows
        if is_unknown or ends_early or lacks_results:
            short[state.ordinal] = state.epoch
    return short


BEHIND_REMEDY = (
    "restore a newer backup; or hold recipients in doubt whose outcome was lost: mailrun resolve {run} --after-restore"
)


def describe_behind(run: str, ahead: int) -> str:
    """Describe a ledger that is older than the messages of a run."""
    return (
        f"the ledger is older than what was sent for {run}: the store has newer records than the ledger"
        f" about {ahead:,} {'lease' if ahead == 1 else 'leases'}, as after a restore from a backup"
    )


def refuse_if_ledger_is_behind(ledger: Ledger, run: Run, store: Store) -> None:
    """Check that the ledger has everything that was sent for a run.

    Raises:
        DataError: it was restored from a backup, or created again, and a person might get a message twice.
    """
    ahead = find_ahead(ledger, run, store)
    if ahead:
        raise DataError(
            f"{describe_behind(run.name, len(ahead))}; nothing was sent now",
            where=ledger.url,
            remedy=BEHIND_REMEDY.format(run=run.name),
        )
    if run.suspect:
        with ledger.write() as tx:
            runs.clear_suspect(tx, run.name)
