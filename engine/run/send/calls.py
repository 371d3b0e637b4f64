"""A worker's calls in flight: each is started as soon as there is a slot and the gate admits it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from engine.clock import Clock
from engine.delivery.dispatch import Call, Dispatcher, FindDue
from engine.delivery.pacing.concurrency import Slots
from engine.delivery.transport import Item
from engine.ledger.recorder import LeaseLostError
from engine.run.send.batch import CallBatch
from engine.run.send.open_lease import OpenLease
from engine.run.send.recheck import Watchlist
from engine.run.send.results import ResultKeeper
from engine.stopping.stop import Stop, StopCause, StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Starts the calls of one worker, each in a task of its own.

    Attributes:
        dispatcher: sends the messages of one call.
        slots: bounds the calls in flight.
        watchlist: finds recipients who were suppressed since the plan was made.
        results: keeps the final results.
        clock: the wall clock.
        stop: is requested with the error of a call that failed.
    """

    dispatcher: Dispatcher
    slots: Slots
    watchlist: Watchlist
    results: ResultKeeper
    clock: Clock
    stop: Stop
    _in_flight: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, batch: CallBatch) -> None:
        """Wait for a slot and the gate, then hand the messages to a task; where the worker stops they stay unsent."""
        opened, slots, gate = batch.opened, self.slots, self.dispatcher.gate
        slots.concurrency.weigh(sum(len(item.payload) for item in batch.items))
        await slots.acquire()
        find_due = partial(self._find_due, opened)
        doubtful = {item.row for item in batch.items if item.row in opened.doubtful}
        call = Call(opened.lease, batch.items, opened.attempts, doubtful, batch.closes_at)
        if not await gate.admit(len(batch.items)) or not await self.dispatcher.leave_out(call, find_due):
            slots.release()
            return
        task = asyncio.create_task(self._dispatch(opened, call, find_due))
        for tasks in (opened.in_flight, self._in_flight):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def abandon(self) -> None:
        """Cancel the calls in flight: they are in doubt."""
        for task in list(self._in_flight):
            task.cancel()

    async def _find_due(self, opened: OpenLease, call: Call) -> Sequence[Item]:
        """Return the items of a call that has waited which may still be sent; the suppressed get their result.

        Recipients whose window has closed meanwhile stay unsent: the lease is given back, and taken when it opens.
        """
        late = await self.watchlist.find_reasons(opened, [item.row for item in call.items])
        for row, reason in late.items():
            self.results.keep_suppressed(opened, row, reason, call)
        if call.closes_at is not None and self.clock.now() >= call.closes_at:
            return ()
        return [item for item in call.items if item.row not in late] if late else call.items

    async def _dispatch(self, opened: OpenLease, call: Call, find_due: FindDue) -> None:
        try:
            await self.dispatcher.dispatch(call, keep=partial(self.results.keep, opened), find_due=find_due)
        except LeaseLostError:
            opened.lost = True
        except Exception as error:  # noqa: BLE001 - stops the worker in order, which reports it
            self.stop.request(StopReason(StopCause.ERROR, str(error), error=error))
        finally:
            self.slots.release()
