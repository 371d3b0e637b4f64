"""Dispatch calls: journal the intents, hand the messages over, record the results, retry.

Calls that begin together share what need not be done for each: `begin` records their intents in one entry. A call that
goes well needs no task: `hand_over` sends it, and `take_sent` records all calls that were answered together. Every
other call has its own task, in `dispatch`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from msgspec import Struct, field

from engine.clock import Clock
from engine.delivery.pacing.gate import Gate
from engine.delivery.replies import ReplyMeaning, SendReply
from engine.delivery.retry import POLICIES, RetryPolicy
from engine.delivery.transport import Item, Transport
from engine.errors import UnreachableError
from engine.ledger.journal import Outcome, Result, make_intents, make_sent
from engine.ledger.leases import Lease
from engine.ledger.recorder import LeaseLostError, Recorder
from engine.logs import get_logger
from engine.spans import record_span
from engine.stopping.stop import Stop, StopCause, StopReason

log = get_logger()

WARN_SECONDS = 10.0
MESSAGES_TOGETHER = 64  # sign and write their calls in one pass of the event loop
CALLS_TOGETHER = 16
_ACCEPTED_PERHAPS = (ReplyMeaning.SENT, ReplyMeaning.IN_DOUBT)


class Call(Struct, eq=False):
    """The messages of one call, through all their attempts.

    Attributes:
        lease: the open lease they belong to.
        items: those that are still to be sent.
        attempts: row -> dispatches already made by an earlier worker.
        doubtful: rows that may have been accepted before; the doubt stays until SES gives a message id.
        closes_at: when the first of its recipients' own sending windows closes; None where they have none.
        tries: dispatches made here.
        begun_at: monotonic time of the first of them.
        attempt_at: monotonic time of the last of them.
    """

    lease: Lease
    items: Sequence[Item]
    attempts: Mapping[int, int]
    doubtful: set[int] = field(default_factory=set)
    closes_at: datetime | None = None
    tries: int = 0
    begun_at: float = float("inf")
    attempt_at: float = 0.0


Answered: TypeAlias = tuple[Call, Sequence[SendReply]]
"""A call that was handed over, and the replies to its messages."""

Keep: TypeAlias = Callable[[Sequence[Result]], None]
"""Receives final results."""

FindDue: TypeAlias = Callable[[Call], Awaitable[Sequence[Item]]]
"""Returns the items of a delayed call that may still be sent, and records the results of the others."""


class Outage(Struct):
    """Warns every WARN_SECONDS that a server cannot be reached, while calls to it are retried."""

    _warned_at: float = float("-inf")

    def warn(self, reply: SendReply, now: float) -> None:
        """Log it, unless it was logged less than WARN_SECONDS ago.

        Args:
            reply: of the call that failed.
            now: monotonic seconds.
        """
        if now - self._warned_at >= WARN_SECONDS:
            self._warned_at = now
            log.warning("server.unreachable", what=reply.detail, note=f"retrying: {reply.detail}")


class Dispatcher(Struct, frozen=True, kw_only=True):
    """Dispatches calls.

    Attributes:
        observe: receives the seconds of some attempts that were answered together, each with its journal.
        jitter: draws from 0 to 1, to spread retries.
        resend_in_doubt: the campaign's `in_doubt = "resend"`: messages in doubt are sent again, and may arrive twice.
        wait_for_quota: the campaign's `at_quota = "wait"`.
        leaves_at_quota: another region goes on when this one's quota is used up, so that none waits.
    """

    transport: Transport
    gate: Gate
    recorder: Recorder
    stop: Stop
    clock: Clock
    observe: Callable[[Sequence[float]], None]
    jitter: Callable[[], float]
    resend_in_doubt: bool = False
    wait_for_quota: bool = False
    leaves_at_quota: Callable[[], bool] = lambda: False
    outage: Outage = field(default_factory=Outage)
    _handing_over: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def begin(self, calls: Sequence[Call], start: Callable[[Call], None]) -> None:
        """Record the intents of calls that the gate has admitted, then start each call when it may be handed over.

        A group commit wakes all that waited for it. Each call signs and writes its body, which takes 40 µs for one
        message and half a millisecond for fifty, so only a few are started in one pass of the event loop.

        Args:
            calls: of one lease.
            start: receives each call in order; it calls `dispatch` in a task, and does not wait.

        Raises:
            LeaseLostError: the lease has a newer owner; nothing was handed over.
            MailrunError: the ledger could not be written; nothing was handed over.
            CancelledError: calls that were not started are not handed over, and their intents are withdrawn.
        """
        left = deque(calls)
        try:
            await self._record(calls)
            async with self._handing_over:
                while left:
                    await asyncio.sleep(0)
                    started = messages = 0
                    while left and started < CALLS_TOGETHER and messages < MESSAGES_TOGETHER:
                        await self.gate.hand_over(len(left[0].items))
                        started, messages = started + 1, messages + len(left[0].items)
                        start(left.popleft())
        except (LeaseLostError, UnreachableError):
            raise
        except BaseException as error:
            self._withdraw(left, error)
            raise

    def hand_over(self, call: Call, take: Callable[[Call, Sequence[SendReply]], None]) -> bool:
        """Send a call that was started without a task; False, and nothing was done, where it needs one: `dispatch`.

        Args:
            call: what to send.
            take: receives the call and its replies, once.
        """
        return self.transport.begin(call.items, lambda replies: take(call, replies))

    def take_sent(self, answered: Sequence[Answered], keep: Keep) -> Sequence[Answered]:
        """Record the calls of one lease whose messages were all sent, which ends every doubt; return the other calls.

        Args:
            answered: calls that were handed over, each with its replies.
            keep: receives the final results.
        """
        now = self.clock.monotonic()
        durations = [now - call.attempt_at for call, _ in answered]
        self.observe(durations)
        record_span("dispatch", now - max(durations), calls=len(answered))
        sent, others = list[Answered](), list[Answered]()
        for one in answered:
            (others if [reply for reply in one[1] if reply.meaning is not ReplyMeaning.SENT] else sent).append(one)
        if sent:
            results = make_sent(
                [item.row for call, _ in sent for item in call.items],
                [reply.message_id for _, replies in sent for reply in replies],
                [call.attempts.get(item.row, 0) + call.tries for call, _ in sent for item in call.items],
                self.clock.now().timestamp(),
            )
            self.recorder.note(sent[0][0].lease, results)
            keep(results)
        return others

    async def dispatch(
        self, call: Call, *, keep: Keep, find_due: FindDue, replies: Sequence[SendReply] | None = None
    ) -> None:
        """Send the messages of one call that was started, with retries where certainly nothing was accepted.

        Args:
            call: what to send.
            keep: receives the final results; a row that stays unsent has none.
            find_due: called before every further attempt, because a wait may last hours.
            replies: to its first attempt, where that was handed over; None sends it.

        Raises:
            LeaseLostError: the lease has a newer owner.
            MailrunError: the ledger could not be written. Where that was the intent, nothing was handed over.
        """
        while True:
            if replies is None:
                replies = await self.transport.send(call.items)
                if not self.take_sent([(call, replies)], keep):
                    return
            waits = [self._next_wait(reply, call) for reply in replies]
            self._take_results(call, replies, waits, keep)
            self._pause_if_asked(replies, waits, call.tries)
            again = [item for item, wait in zip(call.items, waits, strict=True) if wait is not None]
            if not again:
                return
            apart = len(call.items) > 1 and any(reply.meaning is ReplyMeaning.SPLIT for reply in replies)
            call.items = again
            if await self.stop.wait(max(wait for wait in waits if wait is not None)):
                return
            if apart:
                await self._send_each_alone(call, keep, find_due)
                return
            if not await self.gate.admit(len(again)) or not await self.leave_out(call, find_due):
                return
            await self.begin([call], _is_started)
            replies = None

    async def leave_out(self, call: Call, find_due: FindDue) -> bool:
        """Remove recipients that must not be sent to, or not now, from an admitted call; False if none is left."""
        admitted = len(call.items)
        call.items = await find_due(call)
        if len(call.items) < admitted:
            self.gate.give_back(admitted - len(call.items))
        return bool(call.items)

    async def _record(self, calls: Sequence[Call]) -> None:
        """Record that the messages of some calls are about to be handed over; return when that is durable."""
        now = self.clock.monotonic()
        for call in calls:
            call.tries += 1
            call.attempt_at = now
            call.begun_at = min(call.begun_at, now)
        await self.recorder.record(calls[0].lease, make_intents(item.row for call in calls for item in call.items))

    def _withdraw(self, calls: Iterable[Call], error: BaseException) -> None:
        """Record that nothing was handed over, whether the intents were recorded or not."""
        at, detail = self.clock.now().timestamp(), f"not handed over: {str(error) or 'stopped at once'}"
        for call in calls:
            attempts, tries = call.attempts, call.tries - 1
            rows = [item.row for item in call.items if item.row not in call.doubtful]
            unsent = [Result(row, Outcome.UNSENT, None, detail, at, attempts.get(row, 0) + tries) for row in rows]
            if unsent:
                self.recorder.note(call.lease, unsent)

    def _take_results(
        self, call: Call, replies: Sequence[SendReply], waits: Sequence[float | None], keep: Keep
    ) -> None:
        """Record each message's outcome; the doubt about one that is sent again is in its open intent."""
        self._adjust_gate(replies)
        at = self.clock.now().timestamp()
        noted, final = [], []
        for item, reply, wait in zip(call.items, replies, waits, strict=True):
            row = item.row
            if reply.meaning is ReplyMeaning.IN_DOUBT:
                call.doubtful.add(row)
            doubtful = row in call.doubtful
            outcome = _judge(reply, again=wait is not None, doubtful=doubtful)
            attempts = call.attempts.get(row, 0) + call.tries
            result = Result(row, outcome, reply.message_id, reply.detail or None, at, attempts)
            if outcome is not Outcome.UNSENT:
                noted.append(result)
                final.append(result)
            elif not doubtful:
                noted.append(result)
        if noted:
            self.recorder.note(call.lease, noted)
        if final:
            keep(final)

    async def _send_each_alone(self, call: Call, keep: Keep, find_due: FindDue) -> None:
        for item in call.items:
            if not await self.gate.admit(1):
                return
            doubtful = set(call.doubtful) & {item.row}
            alone = Call(call.lease, [item], call.attempts, doubtful, call.closes_at, call.tries)
            if await self.leave_out(alone, find_due):
                await self.begin([alone], _is_started)
                await self.dispatch(alone, keep=keep, find_due=find_due)

    def _adjust_gate(self, replies: Sequence[SendReply]) -> None:
        returned = sum(reply.meaning not in _ACCEPTED_PERHAPS for reply in replies)
        if not returned:
            return
        self.gate.give_back(returned)
        if any(reply.meaning is ReplyMeaning.SLOW_DOWN for reply in replies):
            self.gate.throttle()
        if away := next((reply for reply in replies if reply.meaning is ReplyMeaning.UNREACHABLE), None):
            self.outage.warn(away, self.clock.monotonic())

    def _next_wait(self, reply: SendReply, call: Call) -> float | None:
        """Return seconds to the next attempt; None where there is none."""
        if reply.meaning is ReplyMeaning.SENT:
            return None
        policy = self._find_policy(reply.meaning)
        if policy is None:
            return None
        elapsed_seconds = self.clock.monotonic() - call.begun_at
        return policy.next_wait(attempts=call.tries, elapsed_seconds=elapsed_seconds, jitter=self.jitter())

    def _find_policy(self, meaning: ReplyMeaning) -> RetryPolicy | None:
        if meaning is ReplyMeaning.IN_DOUBT and self.resend_in_doubt:
            return POLICIES[ReplyMeaning.RETRY]
        if meaning is ReplyMeaning.QUOTA and (not self.wait_for_quota or self.leaves_at_quota()):
            return None
        return POLICIES.get(meaning)

    def _pause_if_asked(self, replies: Sequence[SendReply], waits: Sequence[float | None], tries: int) -> None:
        for reply, wait in zip(replies, waits, strict=True):
            if wait is not None:
                continue
            if reply.meaning in (ReplyMeaning.PAUSE, ReplyMeaning.QUOTA):
                self.stop.request(StopReason(StopCause.PAUSED, reply.detail, reply.remedy))
            elif reply.meaning in (ReplyMeaning.UNREACHABLE, ReplyMeaning.SLOW_DOWN):
                text = f"given up after {tries} attempts: {reply.detail}"
                remedy = "check that the server can be reached and accepts mail, then launch again"
                self.stop.request(StopReason(StopCause.PAUSED, text, remedy))


def _is_started(_call: Call) -> None:
    """The task of a call that is sent again goes on by itself."""


def _judge(reply: SendReply, *, again: bool, doubtful: bool) -> Outcome:
    if again:
        return Outcome.UNSENT
    match reply.meaning:
        case ReplyMeaning.SENT:
            return Outcome.SENT
        case ReplyMeaning.REFUSED:
            return Outcome.IN_DOUBT if doubtful else Outcome.REFUSED
        case ReplyMeaning.RETRY | ReplyMeaning.RETRY_ONCE | ReplyMeaning.SPLIT:
            return Outcome.IN_DOUBT if doubtful else Outcome.FAILED
        case ReplyMeaning.IN_DOUBT:
            return Outcome.IN_DOUBT
        case ReplyMeaning.UNREACHABLE | ReplyMeaning.SLOW_DOWN | ReplyMeaning.QUOTA | ReplyMeaning.PAUSE:
            return Outcome.UNSENT
