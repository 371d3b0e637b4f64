"""Recognizing a ledger that is older than what was sent: by the marks of leases and the outcomes files in the store.

A ledger whose journal ends before a mark says it was durable was restored from a backup. So was one that has a lease
open under the epoch of an outcomes file, without all that the file tells.
"""

from concurrent.futures import ThreadPoolExecutor

from engine.clock import SystemClock
from engine.errors import DataError
from engine.ledger import leases, runs, workers
from engine.ledger.database import Ledger
from engine.ledger.leases import LeaseState
from engine.ledger.runs import Run
from engine.store.outcomes import OutcomesFiles
from engine.store.port import Store


def find_ahead(ledger: Ledger, run: Run, store: Store) -> dict[int, int]:
    """Find the leases of which the store knows more than the ledger: ordinal -> the newest epoch in the store.

    The store is read first: the ledger moves ahead of it in the meantime, never behind.
    """
    files = OutcomesFiles(store, run.folder)
    marks, written = files.list_marks(), files.list_published() | files.list_staged()
    if not marks and not written:
        return {}
    with ledger.read() as tx:
        states = {state.ordinal: state for state in leases.list_leases(tx, run.name)}
    newest: dict[int, int] = {}
    for ordinal, epoch in marks | files.list_published():
        newest[ordinal] = max(epoch, newest.get(ordinal, 0))
    ahead = {o: epoch for o, epoch in newest.items() if o in states and epoch > states[o].epoch}
    begun = [s for s in states.values() if s.settlement is None and s.epoch and s.ordinal not in ahead]
    far = {s.ordinal: files.read_mark(s.ordinal, s.epoch) for s in begun if (s.ordinal, s.epoch) in marks}
    beating = _find_beating(ledger, {s.worker for s in begun if s.worker and far.get(s.ordinal, 0) is None})
    begun = [s for s in begun if s.worker not in beating]
    is_written = {s.ordinal for s in begun if (s.ordinal, s.epoch) in written}
    return ahead | _find_short_journals(ledger, run, begun, far, is_written)


def _find_beating(ledger: Ledger, owners: set[str]) -> set[str]:
    """Find the owners that beat in this ledger now, so that it is the one that they send by, not a restored one.

    They are watched in a thread: whoever asks may be inside an event loop.
    """
    if not owners:
        return set()
    with ThreadPoolExecutor(1) as thread:
        return owners - thread.submit(workers.find_gone_workers, ledger, owners, SystemClock()).result()


def _find_short_journals(
    ledger: Ledger, run: Run, begun: list[LeaseState], far: dict[int, int | None], written: set[int]
) -> dict[int, int]:
    """Find open leases whose journal ends before their mark, or has less than their outcomes file.

    Args:
        ledger: where.
        run: whose.
        begun: the open leases.
        far: ordinal of a lease with a mark of its epoch -> how far that says the journal was; None where it is not
            known here.
        written: ordinals of the leases with an outcomes file of their epoch. All their rows had an outcome.
    """
    short: dict[int, int] = {}
    with ledger.read() as tx:
        last = leases.list_last_sequences(tx, run.name)
        suspect = (runs.find_run(tx, run.name) or run).suspect
        for state in begun:
            if leases.find_lease(tx, run.name, state.ordinal) != state:
                continue  # its owner has gone on meanwhile: this is the ledger that it writes to
            sequence = far.get(state.ordinal, 0)
            is_unknown = sequence is None and (ledger.is_of_one_machine or suspect)
            if is_unknown or (sequence or 0) > last.get((state.ordinal, state.epoch), 0):
                short[state.ordinal] = state.epoch
            elif state.ordinal in written:
                history = leases.replay_lease(tx, run.name, state.ordinal)
                if len(history.results) < state.rows:
                    short[state.ordinal] = state.epoch
    return short


BEHIND_REMEDY = (
    "restore a newer backup; or hold in doubt what the ledger cannot know: mailrun resolve {run} --after-restore"
)


def describe_behind(run: str, ahead: int) -> str:
    """Say that a ledger is older than what was sent."""
    return (
        f"the ledger is older than what was sent for {run}: sending was begun, and the store knows more than the ledger"
        f" about {ahead:,} {'lease' if ahead == 1 else 'leases'}, as after a restore from a backup"
    )


def refuse_if_ledger_is_behind(ledger: Ledger, run: Run, store: Store) -> None:
    """Check that the ledger knows all that was sent for a run.

    Raises:
        DataError: it was restored from a backup, or made anew, and somebody might get a message twice.
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
