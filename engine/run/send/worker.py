"""A worker: takes leases, starts their rows as slots become free, settles them, until nothing is left or it must stop.

Several leases may be open at once: the next one begins while the last calls of the one before are still in flight,
so that the rate is used across the border. One task starts everything, so whatever takes long (rendering) is done in
slices, between which the event loop serves everything else.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from engine.campaign.render import Renderer
from engine.campaign.render_error import RenderError
from engine.campaign.spec_sections import WindowSpec
from engine.clock import Clock
from engine.delivery.dispatch import Call, Dispatcher, FindDue
from engine.delivery.pacing.concurrency import Slots
from engine.delivery.pacing.interleaving import DomainCap, Interleaving
from engine.delivery.pacing.window import ZonedWindows, parse_window
from engine.delivery.replies import bound_detail
from engine.delivery.transport import Item
from engine.ledger import leases
from engine.ledger.journal import Outcome, Result
from engine.ledger.leases import Lease
from engine.ledger.recorder import LeaseLostError, Recorder
from engine.ledger.workers import Liveness
from engine.run.frozen import FrozenRun
from engine.run.guard.canary import Canary
from engine.run.guard.evidence import make_stop
from engine.run.guard.judge import FailureGuard
from engine.run.history import write_lease_history
from engine.run.outcomes import end_change, stage_outcomes
from engine.run.recipients import Recipient
from engine.run.send.marks import Marks
from engine.run.send.open_lease import OpenLease, open_lease
from engine.run.send.recheck import Watchlist
from engine.stopping.stop import Stop, StopCause, StopReason

OPEN_LEASES = 4  # a row that waits for its retry may hold an old lease open; more than that and new ones wait
OPEN_LEASES_WITH_CAPS = 32  # rows of capped domains hold many leases open while the others go on
WAIT_FOR_OTHERS_SECONDS = 1.0
LOOK_AGAIN_SECONDS = 60.0  # of waiting for windows to open
SLICE_SECONDS = 0.002  # of rendering without a pause: the event loop waits no longer for it
SUPPRESSED_DETAIL = "suppressed during the run"
CALL_SECONDS = 0.5  # of the rate: what one bulk call carries at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a worker works with.

    Attributes:
        liveness: what this process knows of the other workers.
        marks: of the leases that are open.
        count: told every final result.
        slots: calls in flight.
        caps: domain -> its cap.
        window: the campaign's.
        watchlist: tells who was suppressed since the plan was made.
        canary: of which the first part goes out alone; None where the run has none.
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
    slots: Slots
    caps: Mapping[str, DomainCap]
    window: WindowSpec
    watchlist: Watchlist
    canary: Canary | None = None


@dataclass(frozen=True, slots=True)
class _RecipientWindows:
    """The window by the time zone that each recipient's row names."""

    windows: ZonedWindows
    column: str
    clock: Clock

    def seconds_closed(self, recipient: object) -> float:
        assert isinstance(recipient, Recipient)  # noqa: S101 - what the interleaving was fed
        return self.windows.seconds_closed(str(recipient.content[self.column]), self.clock.now())

    def find_close(self, recipient: Recipient) -> datetime | None:
        return self.windows.find_close(str(recipient.content[self.column]), self.clock.now())


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
        self._calls: set[asyncio.Task[None]] = set()  # in flight
        self._closing: set[asyncio.Task[None]] = set()
        self._holding: set[int] = set()  # ordinals of the leases that are open here
        self._windows = self._make_windows()
        self._interleaving: Interleaving[OpenLease, Recipient] = Interleaving(tools.caps, self._windows)
        self._open: dict[OpenLease, asyncio.Event] = {}
        self._most_open = OPEN_LEASES_WITH_CAPS if tools.caps else OPEN_LEASES
        self._put_off: dict[int, float] = {}  # ordinal of a lease -> when the first of its windows opens
        self._batch: list[Item] = []
        self._batch_of: OpenLease | None = None
        self._batch_bytes = self._batch_most = 0
        self._batch_closes_at: datetime | None = None
        self._slice_ends = 0.0

    def _make_windows(self) -> _RecipientWindows | None:
        spec, column = self._tools.window, self._tools.window.column
        window = parse_window(spec.opens, spec.closes)
        if column is None or window is None:
            return None
        return _RecipientWindows(ZonedWindows(window), column, self._tools.clock)

    def count_not_yet(self) -> int:
        """Count the recipients of open leases that have no outcome."""
        return sum(opened.recipients.height - len(opened.results) for opened in self._open)

    async def work(self) -> None:
        """Send until every lease of the run is settled, or the stop is requested; drain what is in flight."""
        try:
            while not self._tools.stop.requested and await self._advance():
                pass
        except Exception as error:  # noqa: BLE001 - ends the worker in order: what is in flight is drained first
            self._fail(error)
        self._batch.clear()
        for opened in list(self._open):
            self._end_rows(opened)
        while self._closing:
            await asyncio.wait(self._closing)

    async def abandon(self) -> None:
        """Give up the calls in flight: they are in doubt; then settle or give back every lease."""
        self._batch.clear()
        for task in list(self._calls):
            task.cancel()
        for opened in list(self._open):
            self._end_rows(opened)
        while self._closing:
            await asyncio.wait(self._closing)

    async def _advance(self) -> bool:
        """Start whose turn it is, or find more to do; False where nothing is left."""
        clock = self._tools.clock
        while found := self._interleaving.next(clock.monotonic()):
            await self._start_row(*found)
            if self._tools.stop.requested:
                return True
        await self._send_batch()
        for opened in [one for one in self._open if not self._interleaving.is_waiting(one)]:
            self._end_rows(opened)
        held_seconds = self._interleaving.seconds_to_next(clock.monotonic())
        if len(self._open) + len(self._closing) < self._most_open and await self._open_next_lease():
            return True
        if held_seconds is not None:
            await self._tools.stop.wait(held_seconds)
            return True
        if self._closing:
            await asyncio.wait(self._closing, return_when=asyncio.FIRST_COMPLETED)
            return True
        return await self._wait_for_others()

    async def _open_next_lease(self) -> bool:
        lease = await self._take_lease()
        if lease is None:
            return False
        await asyncio.to_thread(self._tools.marks.open, lease)
        opened = await open_lease(
            lease,
            self._frozen,
            recorder=self._tools.recorder,
            resend_in_doubt=self._tools.dispatcher.resend_in_doubt,
            clock=self._tools.clock,
        )
        if self._tools.canary is not None:
            opened.part = self._tools.canary.find_part(lease.ordinal)
        self._interleaving.feed(opened, await asyncio.to_thread(opened.left))  # sorting takes some ms
        self._open[opened] = asyncio.Event()
        closing = asyncio.create_task(self._close(opened, self._open[opened]), name=f"close lease {lease.ordinal}")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        return True

    async def _take_lease(self) -> Lease | None:
        run, monotonic = self._frozen.run.name, self._tools.clock.monotonic()
        self._put_off = {ordinal: at for ordinal, at in self._put_off.items() if at > monotonic}
        canary = self._tools.canary
        skipped: Collection[int] = {*self._put_off, *(canary.exhausted if canary else ())}
        last = canary.last if canary else None

        def take(tx: Connection) -> Lease | None:
            live, held = self._tools.liveness.list_live(tx, monotonic) | {self._id}, self._holding
            return leases.take_lease(tx, run, worker=self._id, live=live, holding=held, skipped=skipped, last=last)

        lease = await self._tools.recorder.transact(take)
        if lease is not None:
            self._holding.add(lease.ordinal)
        return lease

    async def _wait_for_others(self) -> bool:
        """Wait for windows to open, or for others to settle or lose their leases; False where none is left."""
        name = self._frozen.run.name
        if not await self._tools.recorder.transact(lambda tx: leases.count_unsettled(tx, name)):
            return False
        seconds = WAIT_FOR_OTHERS_SECONDS
        if self._put_off:
            until = min(self._put_off.values()) - self._tools.clock.monotonic()
            if self._tools.window.outside == "pause":
                text = f"the sending windows of all who are left are closed; the next opens in {until / 3600:.1f} h"
                self._tools.stop.request(StopReason(StopCause.PAUSED, text, "launch again then"))
                return True
            seconds = min(max(until, WAIT_FOR_OTHERS_SECONDS), LOOK_AGAIN_SECONDS)
        await self._tools.dispatcher.gate.rest()
        await self._tools.stop.wait(seconds)
        return True

    async def _start_row(self, opened: OpenLease, recipient: Recipient) -> None:
        """Make a recipient's message ready and put it into the next call; send the call when it is full."""
        if opened.lost:
            self._interleaving.drop(opened)
            return
        if self._batch_of is not opened:
            await self._send_batch()
        reason = await self._tools.watchlist.find_reason(opened, recipient.row)
        if reason is not None:
            self._leave_out(opened, recipient.row, reason)
            return
        item = self._make_item(opened, recipient)
        if item is not None:
            dispatcher = self._tools.dispatcher
            transport, gate = dispatcher.transport, dispatcher.gate
            full = self._batch_bytes + len(item.payload) > transport.most_bytes
            if self._batch and (full or item.group is None or item.group != self._batch[0].group):
                await self._send_batch()
            if not self._batch:
                self._batch_most = gate.most_at_once(transport.most_items, CALL_SECONDS)
            self._batch.append(item)
            self._batch_of = opened
            if self._windows is not None and (closes_at := self._windows.find_close(recipient)) is not None:
                self._batch_closes_at = min(closes_at, self._batch_closes_at or closes_at)
            self._batch_bytes += len(item.payload)
            if item.group is None or len(self._batch) >= self._batch_most:
                await self._send_batch()
        now = asyncio.get_running_loop().time
        if now() >= self._slice_ends:
            await asyncio.sleep(0)
            self._slice_ends = now() + SLICE_SECONDS

    def _make_item(self, opened: OpenLease, recipient: Recipient) -> Item | None:
        """Render one message; None where it cannot be made, which is that recipient's result."""
        try:
            message = self._tools.renderer.render(recipient.content, recipient.row, recipient.address)
            return self._tools.dispatcher.transport.prepare(message)
        except RenderError as error:
            now = self._tools.clock.now().timestamp()
            attempts = opened.attempts.get(recipient.row, 0)
            result = Result(recipient.row, Outcome.FAILED, None, bound_detail(str(error)), now, attempts)
        self._tools.recorder.note(opened.lease, [result])
        self._keep(opened, result)
        return None

    def _leave_out(self, opened: OpenLease, row: int, reason: str, call: Call | None = None) -> None:
        """Send nothing to who was suppressed during the run; who may have got it before stays in doubt."""
        doubtful, tries = (opened.doubtful, 0) if call is None else (call.doubtful, call.tries)
        outcome = Outcome.IN_DOUBT if row in doubtful else Outcome.FAILED
        now, attempts = self._tools.clock.now().timestamp(), opened.attempts.get(row, 0) + tries
        result = Result(row, outcome, None, f"{SUPPRESSED_DETAIL}: {reason}", now, attempts)
        self._tools.recorder.note(opened.lease, [result])
        opened.results[row] = result
        self._tools.count(result)  # and the guard does not: nothing went wrong

    async def _send_batch(self) -> None:
        """Hand the gathered messages to a task of their own, as soon as there is a slot and the gate admits them."""
        opened, items, closes_at = self._batch_of, self._batch, self._batch_closes_at
        self._batch, self._batch_of, self._batch_bytes, self._batch_closes_at = [], None, 0, None
        if opened is None or not items:
            return
        slots = self._tools.slots
        slots.concurrency.weigh(sum(len(item.payload) for item in items))
        await slots.acquire()
        dispatcher, find_due = self._tools.dispatcher, partial(self._find_due, opened)
        doubtful = {item.row for item in items if item.row in opened.doubtful}
        call = Call(opened.lease, items, opened.attempts, doubtful, closes_at)
        if not await dispatcher.gate.admit(len(items)) or not await dispatcher.leave_out(call, find_due):
            slots.release()
            return
        task = asyncio.create_task(self._handle(opened, call, find_due))
        for tasks in (opened.in_flight, self._calls):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _find_due(self, opened: OpenLease, call: Call) -> Sequence[Item]:
        """Return whom a call that has waited may still be sent to; the suppressed get their result.

        Whoever's window has closed meanwhile stays unsent: the lease is given back, and taken when it opens.
        """
        late = await self._tools.watchlist.find_reasons(opened, [item.row for item in call.items])
        for row, reason in late.items():
            self._leave_out(opened, row, reason, call)
        if call.closes_at is not None and self._tools.clock.now() >= call.closes_at:
            return ()
        return [item for item in call.items if item.row not in late] if late else call.items

    async def _handle(self, opened: OpenLease, call: Call, find_due: FindDue) -> None:
        try:
            keep = partial(self._keep, opened)
            await self._tools.dispatcher.dispatch(call, keep=keep, find_due=find_due)
        except LeaseLostError:
            opened.lost = True
        except Exception as error:  # noqa: BLE001 - ends the worker in order, and is reported there
            self._fail(error)
        finally:
            self._tools.slots.release()

    def _keep(self, opened: OpenLease, result: Result) -> None:
        opened.results[result.row] = result
        self._tools.count(result)
        guard, is_refused = self._tools.guard, result.outcome is Outcome.REFUSED
        error = None if result.outcome is Outcome.SENT else result.error or str(result.outcome)
        guard.count(error, is_refused=is_refused)
        if guard.tripped and guard.finding is not None:
            self._tools.stop.request(make_stop(guard.finding, guard.describe()))

    def _end_rows(self, opened: OpenLease) -> None:
        """No more rows of this lease are started: it closes when its last call has ended."""
        self._interleaving.drop(opened)
        opens_at = self._interleaving.put_off.pop(opened, None)
        if opens_at is not None:
            self._put_off[opened.lease.ordinal] = opens_at
        self._open.pop(opened).set()

    async def _close(self, opened: OpenLease, rows_ended: asyncio.Event) -> None:
        """Wait for what is in flight, then settle the lease or give it back; a lost one is left to its new owner."""
        await rows_ended.wait()
        while opened.in_flight:
            await asyncio.wait(opened.in_flight)
        try:
            await self._tools.recorder.flush()
            if opened.lost:
                return
            if opened.complete:
                await self._settle(opened)
            else:
                await asyncio.to_thread(self._tools.marks.finish, opened.lease)
                await self._tools.recorder.transact(lambda tx: leases.release_lease(tx, opened.lease))
                if self._tools.canary is not None and opened.part is not None and opened.part_complete:
                    self._tools.canary.note_done(opened.lease.ordinal)
        except Exception as error:  # noqa: BLE001 - as in _handle
            self._fail(error)
        finally:
            self._tools.marks.close(opened.lease)
            self._holding.discard(opened.lease.ordinal)

    async def _settle(self, opened: OpenLease) -> None:
        """Write the outcomes aside, durably, settle in one transaction, then put the outcomes in place."""
        lease, now, results = opened.lease, self._tools.clock.now(), opened.results
        settlement = await asyncio.to_thread(stage_outcomes, self._frozen, lease, opened.recipients, results)
        if not self._frozen.run.sandbox:
            await asyncio.to_thread(
                write_lease_history, self._frozen, lease.ordinal, opened.recipients, results, now.date()
            )
        settled = await self._tools.recorder.transact(lambda tx: leases.settle_lease(tx, lease, settlement, now))
        await asyncio.to_thread(end_change, self._frozen, lease, settlement, recorded=settled)

    def _fail(self, error: BaseException) -> None:
        self._tools.stop.request(StopReason(StopCause.ERROR, str(error), error=error))
