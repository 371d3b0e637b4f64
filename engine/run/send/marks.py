"""Marks of leases in the store: they show whether a ledger is older than the messages that were sent.

A mark exists from the moment a worker takes the lease until its outcomes file is in place. It also has the last durable
sequence of the journal (with a bucket, only on the machine of the worker while it sends): a ledger whose journal ends
before that was restored from a backup. The same is true if a lease is open under the epoch of an outcomes file, and its
journal lacks a result of that file.
"""

from engine.ledger.leases import Lease
from engine.store.marks import Mark
from engine.store.outcomes_files import MARKS, name_lease
from engine.store.port import Store


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
        """Make the mark of a lease that was just taken, before its first message is handed over."""
        self._open[lease] = self._store.open_mark(f"{self._folder}/{MARKS}/{name_lease(lease.ordinal, lease.epoch)}")

    def advance(self, lease: Lease, sequence: int) -> None:
        """Record that the journal is durable up to here, before any caller continues."""
        if lease in self._open:
            self._open[lease].advance(sequence)

    def finish(self, lease: Lease) -> None:
        """Record that nothing more is sent under the epoch of a released lease."""
        self._open[lease].finish()

    def close(self, lease: Lease) -> None:
        """Close a mark; its file stays where the lease is not settled."""
        if lease in self._open:
            self._open.pop(lease).close()
