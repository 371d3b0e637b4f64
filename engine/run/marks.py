"""Marks of open leases in the store: by them a ledger that is older than what was sent is found out.

A mark is there from the moment at which a worker took its lease until it is settled. It says as well how far the
journal was durable (with a bucket, on the machine of the worker alone): a ledger whose journal ends before that was
restored from a backup.
"""

from engine.errors import DataError
from engine.ledger import leases, runs
from engine.ledger.database import Ledger
from engine.ledger.leases import Lease
from engine.ledger.runs import Run
from engine.run.open_lease import name_outcomes, parse_name
from engine.store.folder import Mark, Store


class Marks:
    """The marks of one worker's open leases.

    Args:
        store: where.
        folder: the run's.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder
        self._open: dict[Lease, Mark] = {}

    def open(self, lease: Lease) -> None:
        """Make the mark of a lease that was just taken, before anything of it is handed over."""
        self._open[lease] = self._store.open_mark(f"{self._folder}/open/{name_outcomes(lease)}")

    def advance(self, lease: Lease, sequence: int) -> None:
        """Say that the journal is durable up to here, before anybody acts on it."""
        if lease in self._open:
            self._open[lease].advance(sequence)

    def close(self, lease: Lease) -> None:
        """Let go of a mark; it stays where the lease is not settled."""
        if lease in self._open:
            self._open.pop(lease).close()


def find_ahead(ledger: Ledger, run: Run, store: Store) -> dict[int, int]:
    """Find the leases of which the store knows more than the ledger: ordinal -> the newest epoch in the store.

    The store is read first: the ledger moves ahead of it in the meantime, never behind.
    """
    marks = {
        place: store.read_mark(f"{run.folder}/open/{name}")
        for name in store.list_names(f"{run.folder}/open")
        if (place := parse_name(name)) is not None
    }
    files = {place for name in store.list_names(f"{run.folder}/outcomes") if (place := parse_name(name)) is not None}
    if not marks and not files:
        return {}
    with ledger.read() as tx:
        states = {state.ordinal: state for state in leases.list_leases(tx, run.name)}
        last = leases.list_last_sequences(tx, run.name)
        suspect = (runs.find_run(tx, run.name) or run).suspect
    ahead: dict[int, int] = {}
    for ordinal, epoch in marks.keys() | files:
        state = states.get(ordinal)
        if state is None:
            continue  # of no lease: the audit names it
        newer = epoch > state.epoch
        is_open = (ordinal, epoch) in marks and state.settlement is None
        sequence = marks.get((ordinal, epoch), 0)
        unknown = is_open and (sequence > last.get((ordinal, epoch), 0) or (suspect and not sequence))
        if newer or unknown:
            ahead[ordinal] = max(epoch, ahead.get(ordinal, 0))
    return ahead


def refuse_if_ledger_is_behind(ledger: Ledger, run: Run, store: Store) -> None:
    """Check that the ledger knows all that was sent for a run.

    Raises:
        DataError: it was restored from a backup, or made anew, and somebody might get a message twice.
    """
    ahead = find_ahead(ledger, run, store)
    if ahead:
        raise DataError(
            f"the ledger is older than what was sent for {run.name}: sending was begun, and of {len(ahead)} leases"
            " the store knows more than the ledger, as after a restore from a backup; nothing was sent now",
            where=ledger.url,
            remedy="restore a newer backup; or hold in doubt what the ledger cannot know:"
            f" mailrun resolve {run.name} --after-restore",
        )
    if run.suspect:
        with ledger.write() as tx:
            runs.clear_suspicion(tx, run.name)
