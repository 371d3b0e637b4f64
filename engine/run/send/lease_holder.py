"""The leases that a worker holds: it takes them from the ledger, and settles them or gives them back."""

import asyncio
import time
from collections.abc import Collection

from msgspec import Struct, field
from sqlalchemy import Connection

from engine.clock import Clock
from engine.ledger import leases
from engine.ledger.leases import Lease
from engine.ledger.recorder import Recorder
from engine.ledger.workers import Liveness
from engine.run.frozen import FrozenRun
from engine.run.guard.canary import Canary
from engine.run.history import write_lease_history
from engine.run.outcomes import end_change, stage_outcomes
from engine.run.send.marks import Marks
from engine.run.send.open_lease import OpenLease, open_lease
from engine.spans import record_span


class LeaseHolder(Struct, frozen=True, kw_only=True):
    """Takes and settles the leases of one run for one worker.

    Attributes:
        worker_id: as registered in the ledger.
        frozen: the run.
        recorder: reads and writes the ledger.
        liveness: this process's observations of the other workers.
        marks: of the leases that are open.
        canary: the run's canary, which is sent first; None where the run has none.
        resend_in_doubt: the campaign's `in_doubt = "resend"`.
        clock: both of its times.
    """

    worker_id: str
    frozen: FrozenRun
    recorder: Recorder
    liveness: Liveness
    marks: Marks
    canary: Canary | None
    resend_in_doubt: bool
    clock: Clock
    _held: set[int] = field(default_factory=set)  # ordinals

    async def take(self, skipped: Collection[int]) -> OpenLease | None:
        """Take and open the next lease; None where nothing may be taken now.

        Args:
            skipped: ordinals of leases to skip now.
        """
        began = time.monotonic()
        lease = await self._take(skipped)
        if lease is None:
            return None
        record_span("take lease", began, lease=lease.ordinal)
        await asyncio.to_thread(self.marks.open, lease)
        opened = await open_lease(
            lease, self.frozen, recorder=self.recorder, resend_in_doubt=self.resend_in_doubt, clock=self.clock
        )
        if self.canary is not None:
            opened.part = self.canary.find_part(lease.ordinal)
        return opened

    async def _take(self, skipped: Collection[int]) -> Lease | None:
        run, monotonic, canary = self.frozen.run.name, self.clock.monotonic(), self.canary
        unwanted = {*skipped, *(canary.exhausted if canary else ())}
        last = canary.last if canary else None

        def take(tx: Connection) -> Lease | None:
            live = self.liveness.list_live(tx, monotonic) | {self.worker_id}
            return leases.take_lease(
                tx, run, worker=self.worker_id, live=live, holding=self._held, skipped=unwanted, last=last
            )

        lease = await self.recorder.transact(take)
        if lease is not None:
            self._held.add(lease.ordinal)
        return lease

    async def count_unsettled(self) -> int:
        """Count the leases of the run that are open or free, of all workers."""
        name = self.frozen.run.name
        return await self.recorder.transact(lambda tx: leases.count_unsettled(tx, name))

    async def close(self, opened: OpenLease) -> None:
        """Settle a lease without calls in flight, or release it; do nothing with a lease that has a new owner."""
        began = time.monotonic()
        try:
            await self.recorder.flush()
            if opened.complete and not opened.lost:
                await self._settle(opened)
            elif not opened.lost:
                await self._give_back(opened)
        finally:
            record_span("close lease", began, lease=opened.lease.ordinal, rows=len(opened.results))
            self.marks.close(opened.lease)
            self._held.discard(opened.lease.ordinal)

    async def _settle(self, opened: OpenLease) -> None:
        """Stage the outcomes durably, settle the lease in one transaction, then move the outcomes into place."""
        lease, now, results = opened.lease, self.clock.now(), opened.results
        settlement = await asyncio.to_thread(stage_outcomes, self.frozen, lease, opened.recipients, results)
        if not self.frozen.run.sandbox:
            await asyncio.to_thread(
                write_lease_history, self.frozen, lease.ordinal, opened.recipients, results, now.date()
            )
        settled = await self.recorder.transact(lambda tx: leases.settle_lease(tx, lease, settlement, now))
        await asyncio.to_thread(end_change, self.frozen, lease, settlement, recorded=settled)

    async def _give_back(self, opened: OpenLease) -> None:
        await asyncio.to_thread(self.marks.finish, opened.lease)
        await self.recorder.transact(lambda tx: leases.release_lease(tx, opened.lease))
        if self.canary is not None and opened.part is not None and opened.part_complete:
            self.canary.note_done(opened.lease.ordinal)
