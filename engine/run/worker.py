"""A worker: takes leases, starts their rows as slots become free, settles them, until nothing is left or it must stop.

Several leases may be open at once: the next one begins while the last calls of the one before are still in flight,
so that the rate is used across the border.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from engine.account.client import CONNECTIONS
from engine.campaign.render import Renderer, RenderError
from engine.clock import Clock
from engine.delivery.dispatch import Dispatcher
from engine.delivery.guard import FailureGuard
from engine.delivery.stop import Stop, StopCause, StopReason
from engine.ledger import leases
from engine.ledger.journal import Outcome, Result
from engine.ledger.leases import Lease
from engine.ledger.recorder import LeaseLostError, Recorder
from engine.ledger.workers import Liveness
from engine.run.history import write_lease_history
from engine.run.marks import Marks
from engine.run.open_lease import OpenLease, Recipient, open_lease
from engine.run.planning import FrozenRun
from engine.run.settling import clear_after, clear_before, write_outcomes

OPEN_LEASES = 4  # a row that waits for its retry may hold an old lease open; more than that and new ones wait
WAIT_FOR_OTHERS_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a worker works with.

    Attributes:
        liveness: what this process knows of the other workers.
        marks: of the leases that are open.
        count: told every final result.
    """

    recorder: Recorder
    liveness: Liveness
    marks: Marks
    renderer: Renderer
    dispatcher: Dispatcher
    guard: FailureGuard
    stop: Stop
    clock: Clock
    count: Callable[[Result], None]


class Worker:
    """Sends for one run.

    Args:
        worker_id: as registered in the ledger.
        frozen: the run.
        tools: what it works with.
    """

    def __init__(self, worker_id: str, frozen: FrozenRun, tools: Tools) -> None:
        self._id = worker_id
        self._frozen = frozen
        self._tools = tools
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._closing: set[asyncio.Task[None]] = set()
        self._holding: set[int] = set()  # ordinals of the leases that are open here

    async def work(self) -> None:
        """Send until every lease of the run is settled, or the stop is requested; drain what is in flight."""
        try:
            while not self._tools.stop.requested:
                if len(self._closing) >= OPEN_LEASES:
                    await asyncio.wait(self._closing, return_when=asyncio.FIRST_COMPLETED)
                    continue
                lease = await self._take_lease()
                if lease is not None:
                    await self._send_lease(lease)
                elif not await self._wait_for_leases():
                    break
        except Exception as error:  # noqa: BLE001 - ends the worker in order: what is in flight is drained first
            self._fail(error)
        while self._closing:
            await asyncio.wait(self._closing)

    async def _take_lease(self) -> Lease | None:
        run, monotonic = self._frozen.run.name, self._tools.clock.monotonic()

        def take(tx: Connection) -> Lease | None:
            live = self._tools.liveness.list_live(tx, monotonic) | {self._id}
            return leases.take_lease(tx, run, worker=self._id, live=live, holding=self._holding)

        lease = await self._tools.recorder.transact(take)
        if lease is not None:
            self._holding.add(lease.ordinal)
        return lease

    async def _wait_for_leases(self) -> bool:
        """Wait for own leases to close, or others to settle or lose theirs; False where none is left."""
        if self._closing:
            await asyncio.wait(self._closing, return_when=asyncio.FIRST_COMPLETED)
            return True
        name = self._frozen.run.name
        if not await self._tools.recorder.transact(lambda tx: leases.count_unsettled(tx, name)):
            return False
        await self._tools.stop.wait(WAIT_FOR_OTHERS_SECONDS)
        return True

    async def _send_lease(self, lease: Lease) -> None:
        """Start all rows of a lease; it closes by itself when the last has ended."""
        await asyncio.to_thread(self._tools.marks.open, lease)
        opened = await open_lease(
            lease,
            self._frozen,
            recorder=self._tools.recorder,
            resend_in_doubt=self._tools.dispatcher.resend_in_doubt,
            clock=self._tools.clock,
        )
        await self._start_rows(opened)
        closing = asyncio.create_task(self._close(opened), name=f"close lease {lease.ordinal}")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _start_rows(self, opened: OpenLease) -> None:
        for recipient in opened.left():
            await self._slots.acquire()  # before it is rendered: no message waits in memory for a slot
            if self._tools.stop.requested or opened.lost:
                self._slots.release()
                return
            task = asyncio.create_task(self._handle(opened, recipient))
            opened.in_flight.add(task)
            task.add_done_callback(opened.in_flight.discard)

    async def _handle(self, opened: OpenLease, recipient: Recipient) -> None:
        try:
            result = await self._bring_to_result(opened, recipient)
        except LeaseLostError:
            opened.lost = True
        except Exception as error:  # noqa: BLE001 - ends the worker in order, and is reported there
            self._fail(error)
        else:
            self._keep(opened, result)
        finally:
            self._slots.release()

    async def _bring_to_result(self, opened: OpenLease, recipient: Recipient) -> Result:
        attempts = opened.attempts.get(recipient.row, 0)
        try:
            message = self._tools.renderer.render(recipient.content, recipient.row, recipient.address)
        except RenderError as error:
            now = self._tools.clock.now().timestamp()
            result = Result(recipient.row, Outcome.FAILED, None, str(error), now, attempts)
            await self._tools.recorder.record(opened.lease, result)
            return result
        return await self._tools.dispatcher.dispatch(
            opened.lease, message, attempts=attempts, doubtful=recipient.row in opened.doubtful
        )

    def _keep(self, opened: OpenLease, result: Result) -> None:
        if result.outcome is Outcome.UNSENT:
            return
        opened.results[result.row] = result
        self._tools.count(result)
        self._tools.guard.count(None if result.outcome is Outcome.SENT else result.error or str(result.outcome))
        if self._tools.guard.tripped:
            remedy = "mend the account and launch again; a mended template or audience needs a launch under another key"
            self._tools.stop.request(StopReason(StopCause.PAUSED, self._tools.guard.describe(), remedy))

    async def _close(self, opened: OpenLease) -> None:
        """Wait for what is in flight, then settle the lease or give it back; a lost one is left to its new owner."""
        while opened.in_flight:
            await asyncio.wait(opened.in_flight)
        try:
            if opened.lost:
                return
            if opened.complete:
                await self._settle(opened)
            else:
                await self._tools.recorder.transact(lambda tx: leases.release_lease(tx, opened.lease))
        except Exception as error:  # noqa: BLE001 - as in _handle
            self._fail(error)
        finally:
            self._tools.marks.close(opened.lease)
            self._holding.discard(opened.lease.ordinal)

    async def _settle(self, opened: OpenLease) -> None:
        """Write the outcomes durably, then settle in one transaction; then clear away what earlier owners left."""
        lease, now = opened.lease, self._tools.clock.now()
        settlement = await asyncio.to_thread(write_outcomes, self._frozen, lease, opened.recipients, opened.results)
        if not self._frozen.run.sandbox:
            await asyncio.to_thread(write_lease_history, self._frozen, opened, now.date())
        await asyncio.to_thread(clear_before, self._frozen, lease)
        settled = await self._tools.recorder.transact(lambda tx: leases.settle_lease(tx, lease, settlement, now))
        await asyncio.to_thread(clear_after, self._frozen, lease, settled=settled)

    def _fail(self, error: BaseException) -> None:
        self._tools.stop.request(StopReason(StopCause.ERROR, str(error), error=error))
