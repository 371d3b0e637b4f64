"""A worker's calls in flight: each is started as soon as there is a slot and the gate admits it."""

import asyncio
from collections.abc import Sequence
from functools import partial

from msgspec import Struct, field

from engine.clock import Clock
from engine.delivery.dispatch import Answered, Call, Dispatcher
from engine.delivery.pacing.concurrency import Slots
from engine.delivery.replies import SendReply
from engine.delivery.transport import Item
from engine.ledger.recorder import LeaseLostError
from engine.run.send.batch import CallBatch
from engine.run.send.open_lease import OpenLease
from engine.run.send.recheck import Watchlist
from engine.run.send.results import ResultKeeper
from engine.stopping.stop import Stop, StopCause, StopReason


class Calls(Struct, kw_only=True):
    """Starts the calls of one worker. Calls that are admitted together begin together.

    Those that are answered in one pass of the event loop are recorded together. A call has a task of its own only where
    it must wait: for a new connection, or to be sent again.

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
    _admitted: list[Call] = field(default_factory=list)  # that begin next
    _opened: OpenLease | None = None  # their lease
    _beginning: set[asyncio.Task[None]] = field(default_factory=set)
    _in_flight: set[asyncio.Task[None]] = field(default_factory=set)
    _handed_over: dict[Call, OpenLease] = field(default_factory=dict)  # those without a task
    _answered: dict[OpenLease, list[Answered]] = field(default_factory=dict)

    async def add(self, batch: CallBatch) -> None:
        """Add the call of a batch to those that begin next; wait for a slot and the gate where there is no room now.

        Where the worker stops the messages stay unsent.
        """
        opened = batch.opened
        if self._opened is not opened:
            self.begin()
            self._opened = opened
        self.slots.concurrency.weigh(batch.payload_bytes)
        doubtful = {item.row for item in batch.items if item.row in opened.doubtful} if opened.doubtful else set[int]()
        call = Call(opened.lease, batch.items, opened.attempts, doubtful, batch.closes_at)
        if (batch.has_waited or not self._admit_now(call)) and not await self._admit(opened, call):
            return
        opened.begin_call()
        self._admitted.append(call)

    def begin(self) -> None:
        """Begin the calls that were added."""
        if self._admitted and self._opened is not None:
            calls, self._admitted = self._admitted, []
            task = asyncio.create_task(self._begin(self._opened, calls))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)

    async def abandon(self) -> None:
        """Cancel the calls: those that were handed over are in doubt, the others unsent."""
        if self._opened is not None:
            for _ in self._admitted:
                self._end(self._opened)
        self._admitted.clear()
        for opened in self._handed_over.values():
            self._end(opened)
        self._handed_over.clear()
        for tasks in (self._beginning, self._in_flight):
            await asyncio.sleep(0)  # a task that is cancelled before its first step does not end its calls
            for task in tasks:
                task.cancel()

    def _admit_now(self, call: Call) -> bool:
        if not self.slots.take():
            return False
        if self.dispatcher.gate.admit_now(len(call.items)):
            return True
        self.slots.release()
        return False

    async def _admit(self, opened: OpenLease, call: Call) -> bool:
        """Wait for a slot and the gate; return False where nothing of the call may be sent."""
        self.begin()
        await self.slots.acquire()
        admitted = await self.dispatcher.gate.admit(len(call.items))
        if not admitted or not await self.dispatcher.leave_out(call, partial(self._find_due, opened)):
            self.slots.release()
            return False
        return True

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

    async def _begin(self, opened: OpenLease, calls: Sequence[Call]) -> None:
        started = 0

        def start(call: Call) -> None:
            nonlocal started
            started += 1
            self._handed_over[call] = opened
            if not self.dispatcher.hand_over(call, self._take):
                del self._handed_over[call]
                self._run(opened, call)

        try:
            await self.dispatcher.begin(calls, start)
        except Exception as error:  # noqa: BLE001 - stops the worker in order, which reports it
            self._note_error(opened, error)
        finally:
            for _ in calls[started:]:
                self._end(opened)

    def _take(self, call: Call, replies: Sequence[SendReply]) -> None:
        """Take the replies to a call, unless it was abandoned; those of one pass of the event loop together."""
        opened = self._handed_over.pop(call, None)
        if opened is None:
            return
        if not self._answered:
            asyncio.get_running_loop().call_soon(self._read_answered)
        self._answered.setdefault(opened, []).append((call, replies))

    def _read_answered(self) -> None:
        leases, self._answered = self._answered, {}
        for opened, answered in leases.items():
            others: Sequence[Answered] = ()
            try:
                others = self.dispatcher.take_sent(answered, partial(self.results.keep, opened))
            except Exception as error:  # noqa: BLE001 - stops the worker in order, which reports it
                self._note_error(opened, error)
            self._end(opened, len(answered) - len(others))
            for call, replies in others:
                self._run(opened, call, replies)

    def _run(self, opened: OpenLease, call: Call, replies: Sequence[SendReply] | None = None) -> None:
        """Send a call in a task; see Dispatcher.dispatch."""
        task = asyncio.create_task(self._dispatch(opened, call, replies))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _dispatch(self, opened: OpenLease, call: Call, replies: Sequence[SendReply] | None) -> None:
        keep, find_due = partial(self.results.keep, opened), partial(self._find_due, opened)
        try:
            await self.dispatcher.dispatch(call, keep=keep, find_due=find_due, replies=replies)
        except Exception as error:  # noqa: BLE001 - as above
            self._note_error(opened, error)
        finally:
            self._end(opened)

    def _note_error(self, opened: OpenLease, error: Exception) -> None:
        if isinstance(error, LeaseLostError):
            opened.lost = True
        else:
            self.stop.request(StopReason(StopCause.ERROR, str(error), error=error))

    def _end(self, opened: OpenLease, calls: int = 1) -> None:
        if calls:
            opened.end_calls(calls)
            self.slots.release(calls)
