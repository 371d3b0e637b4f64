"""Marks of leases in the store: by them a ledger that is older than what was sent is recognized.

A mark is there from the moment at which a worker took its lease until the lease's outcomes file says the same. It says
as well how far the journal was durable (with a bucket, on the machine of the worker alone while it sends): a ledger
whose journal ends before that was restored from a backup. So was one that has a lease open under the epoch of an
outcomes file, without everything that the file says.
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
        """Make the mark of a lease that was just taken, before anything of it is handed over."""
        self._open[lease] = self._store.open_mark(f"{self._folder}/{MARKS}/{name_lease(lease.ordinal, lease.epoch)}")

    def advance(self, lease: Lease, sequence: int) -> None:
        """Record that the journal is durable up to here, before anything follows from it."""
        if lease in self._open:
            self._open[lease].advance(sequence)

    def finish(self, lease: Lease) -> None:
        """Record that nothing more is sent for a lease that is given back, under its epoch."""
        self._open[lease].finish()

    def close(self, lease: Lease) -> None:
        """Close a mark; its file stays where the lease is not settled."""
        if lease in self._open:
            self._open.pop(lease).close()
