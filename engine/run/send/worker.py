"""A worker: takes leases, starts their rows as slots become free, settles them, until nothing is left or it must stop.

Several leases may be open at once: the next one begins while the last calls of the one before are still in flight,
so that the rate is used between leases, too. One task starts all rows, so long work (rendering) is done in slices,
between which the event loop runs other tasks. The calls of a slice begin together.
"""

import asyncio
import math
from datetime import datetime

from msgspec import Struct, field

from engine.campaign.spec_sections import WindowSpec
from engine.clock import Clock
from engine.delivery.pacing.gate import Gate
from engine.delivery.pacing.interleaving import Interleaving
from engine.delivery.pacing.window import ZonedWindows, parse_window
from engine.delivery.transport import CallGroup, Item
from engine.run.recipients import Recipient
from engine.run.send.batch import CallBatch
from engine.run.send.calls import Calls
from engine.run.send.lease_holder import LeaseHolder
from engine.run.send.messages import MessageMaker
from engine.run.send.open_lease import OpenLease, OpenLeases
from engine.run.send.recheck import Watchlist
from engine.run.send.tuning import CALL_SECONDS
from engine.stopping.stop import Stop, StopCause, StopReason

_LONG_SECONDS = 86_400.0
OPEN_LEASES = 4  # a row that waits for its retry may hold an old lease open; more than that and new ones wait
OPEN_LEASES_WITH_CAPS = 32  # rows of capped domains hold many leases open while the others continue
WAIT_FOR_OTHERS_SECONDS = 1.0
LOOK_AGAIN_SECONDS = 60.0  # of waiting for windows to open
HELD_SECONDS = 1.0  # that a message waits for others of its group
SLICE_SECONDS = 0.002  # of rendering without a pause, the longest that the event loop waits


class RecipientWindows(Struct, frozen=True):
    """The window by the time zone that each recipient's row names."""

    windows: ZonedWindows
    column: str
    clock: Clock

    def seconds_closed(self, recipient: object) -> float:
        """Return how long a recipient's window stays closed; 0.0 while it is open."""
        assert isinstance(recipient, Recipient)  # noqa: S101 - the type of the interleaving's items
        return self.windows.seconds_closed(str(recipient.content[self.column]), self.clock.now())

    def find_close(self, recipient: Recipient) -> datetime | None:
        """Return when a recipient's window closes; None where its time zone is not known."""
        return self.windows.find_close(str(recipient.content[self.column]), self.clock.now())


def make_recipient_windows(spec: WindowSpec, clock: Clock) -> RecipientWindows | None:
    """Make the windows of recipients in their own time zones; None where the campaign has none."""
    window = parse_window(spec.opens, spec.closes)
    if spec.column is None or window is None:
        return None
    return RecipientWindows(ZonedWindows(window), spec.column, clock)


class Worker(Struct, kw_only=True):
    """Sends for one run.

    Attributes:
        holder: takes and settles leases.
        open_leases: that are held now.
        interleaving: the order of their recipients.
        windows: of recipients in their own time zones; None where the campaign has none.
        pauses_outside: `outside = "pause"`: the run pauses where only closed windows are left.
        watchlist: looks up recipients before their messages are made.
        maker: makes messages.
        calls: sends them.
        gate: bounds what one call carries, and lends this worker's part of the rate.
        clock: monotonic time.
        stop: ends the worker in order.
    """

    holder: LeaseHolder
    open_leases: OpenLeases
    interleaving: Interleaving[OpenLease, Recipient]
    windows: RecipientWindows | None
    pauses_outside: bool
    watchlist: Watchlist
    maker: MessageMaker
    calls: Calls
    gate: Gate
    clock: Clock
    stop: Stop
    _closing: set[asyncio.Task[None]] = field(default_factory=set)
    _put_off: dict[int, float] = field(default_factory=dict)  # a lease's ordinal -> when the first of its windows opens
    _batches: dict[CallGroup | None, CallBatch] = field(default_factory=dict)  # of one lease, one for each group
    _held: int = 0  # messages in all batches
    _most_held: int = 0
    _slice_ends: float = 0.0

    async def work(self) -> None:
        """Send until every lease of the run is settled, or the stop is requested; drain what is in flight."""
        try:
            while not self.stop.requested and await self._advance():
                pass
        except Exception as error:  # noqa: BLE001 - ends the worker in order: what is in flight is drained first
            self._fail(error)
        await self._close_all()

    async def abandon(self) -> None:
        """Cancel the calls in flight, which are then in doubt; then settle or release every lease."""
        await self.calls.abandon()
        await self._close_all()

    async def _close_all(self) -> None:
        self._batches.clear()
        self._held = 0
        self.calls.begin()
        for opened in list(self.open_leases):
            self._end_rows(opened)
        while self._closing:
            await asyncio.wait(self._closing)

    async def _advance(self) -> bool:
        """Start the next recipient, or find more to do; False where nothing is left."""
        while found := self.interleaving.next(self.clock.monotonic()):
            await self._start_row(*found)
            if self.stop.requested:
                return True
        await self._add_batches()
        self.calls.begin()
        for opened in [one for one in self.open_leases if not self.interleaving.is_waiting(one)]:
            self._end_rows(opened)
        held_seconds = self.interleaving.seconds_to_next(self.clock.monotonic())
        if len(self.open_leases) + len(self._closing) < self._most_open and await self._open_next_lease():
            return True
        if held_seconds is not None:
            await self.stop.wait(held_seconds)
            return True
        if self._closing:
            await asyncio.wait(self._closing, return_when=asyncio.FIRST_COMPLETED)
            return True
        return await self._wait_for_others()

    @property
    def _most_open(self) -> int:
        return OPEN_LEASES_WITH_CAPS if self.interleaving.caps else OPEN_LEASES

    async def _open_next_lease(self) -> bool:
        monotonic = self.clock.monotonic()
        self._put_off = {ordinal: at for ordinal, at in self._put_off.items() if at > monotonic}
        opened = await self.holder.take(self._put_off)
        if opened is None:
            return False
        self.interleaving.feed(opened, await asyncio.to_thread(opened.left))  # sorting takes some ms
        rows_ended = self.open_leases.add(opened)
        closing = asyncio.create_task(self._close(opened, rows_ended), name=f"close lease {opened.lease.ordinal}")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        return True

    async def _wait_for_others(self) -> bool:
        """Wait for windows to open, or for other workers to settle or lose their leases; False where none is left."""
        if not await self.holder.count_unsettled():
            return False
        seconds = WAIT_FOR_OTHERS_SECONDS
        if self._put_off:
            until = min(self._put_off.values()) - self.clock.monotonic()
            if self.pauses_outside:
                text = f"the sending windows of all remaining recipients are closed; one opens in {until / 3600:.1f} h"
                self.stop.request(StopReason(StopCause.PAUSED, text, "launch again at that time"))
                return True
            seconds = min(max(until, WAIT_FOR_OTHERS_SECONDS), LOOK_AGAIN_SECONDS)
        await self.gate.release_share()
        await self.stop.wait(seconds)
        return True

    async def _start_row(self, opened: OpenLease, recipient: Recipient) -> None:
        """Make a recipient's message and put it into the next call; pause where a slice has ended."""
        if opened.lost:
            self.interleaving.drop(opened)
            return
        if self._batches and next(iter(self._batches.values())).opened is not opened:
            await self._add_batches()
        if not self.watchlist.is_fresh(opened, recipient.row, self.clock.monotonic()):
            self.calls.begin()
            await self.watchlist.look_up(opened, recipient.row)
        item = self.maker.make(opened, recipient)
        if item is not None:
            await self._put(opened, recipient, item)
        now = asyncio.get_running_loop().time
        if now() >= self._slice_ends:
            await self._add_batches(begun_before=self.clock.monotonic() - HELD_SECONDS)
            self.calls.begin()
            await asyncio.sleep(0)
            self._slice_ends = now() + SLICE_SECONDS

    async def _put(self, opened: OpenLease, recipient: Recipient, item: Item) -> None:
        """Put a message into the batch of its group; add the batches that have no more room."""
        transport, group = self.maker.transport, item.group
        batch = self._batches.get(group)
        if batch is not None and batch.payload_bytes + len(item.payload) > transport.most_bytes:
            await self._add_batch(group)
            batch = None
        if batch is None:
            most_items = self.gate.most_at_once(transport.most_items, CALL_SECONDS)
            batch = self._batches[group] = CallBatch(opened, most_items, self.clock.monotonic())
            self._bound_held()
        self._held += 1
        batch.add(item, None if self.windows is None else self.windows.find_close(recipient))
        if batch.is_full:
            await self._add_batch(group)
        elif self._held >= self._most_held:
            await self._add_batches()

    async def _add_batch(self, group: CallGroup | None) -> None:
        batch = self._batches.pop(group)
        batch.has_waited = batch.begun_at < self.clock.monotonic() - HELD_SECONDS
        self._held -= len(batch.items)
        await self.calls.add(batch)
        if self._batches:
            self._bound_held()

    def _bound_held(self) -> None:
        """Hold no more messages than may still be sent: those of one batch must not take the room of another's."""
        self._most_held = self.gate.most_at_once(len(self._batches) * self.maker.transport.most_items, _LONG_SECONDS)

    async def _add_batches(self, *, begun_before: float = math.inf) -> None:
        for group in [group for group, batch in self._batches.items() if batch.begun_at < begun_before]:
            await self._add_batch(group)

    def _end_rows(self, opened: OpenLease) -> None:
        """Start no more rows of this lease: it closes when its last call has ended."""
        self.interleaving.drop(opened)
        opens_at = self.interleaving.put_off.pop(opened, None)
        if opens_at is not None:
            self._put_off[opened.lease.ordinal] = opens_at
        self.open_leases.end_rows(opened)

    async def _close(self, opened: OpenLease, rows_ended: asyncio.Event) -> None:
        """Wait for its calls in flight, then settle the lease or release it."""
        await rows_ended.wait()
        await opened.wait_for_calls()
        try:
            await self.holder.close(opened)
        except Exception as error:  # noqa: BLE001 - stops the worker in order, which reports it
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self.stop.request(StopReason(StopCause.ERROR, str(error), error=error))
