"""The messages of one call, from ready to their results: journal the intents, hand over, note the results, retry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engine.clock import Clock
from engine.delivery.gate import Gate
from engine.delivery.replies import Meaning, Reply
from engine.delivery.retry import POLICIES, RetryPolicy
from engine.delivery.stop import Stop, StopCause, StopReason
from engine.delivery.transport import Item, Transport
from engine.ledger.journal import Intent, Outcome, Result
from engine.ledger.leases import Lease
from engine.ledger.recorder import Recorder

_ACCEPTED_PERHAPS = (Meaning.SENT, Meaning.IN_DOUBT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatcher:
    """Dispatches calls, each in its own task.

    Attributes:
        observe: told how many seconds each attempt took, with its journal.
        jitter: draws from 0 to 1, to spread retries.
        resend_in_doubt: the campaign's `in_doubt = "resend"`: what is in doubt is tried again, and may arrive twice.
        wait_for_quota: the campaign's `at_quota = "wait"`.
    """

    transport: Transport
    gate: Gate
    recorder: Recorder
    stop: Stop
    clock: Clock
    observe: Callable[[float], None]
    jitter: Callable[[], float]
    resend_in_doubt: bool = False
    wait_for_quota: bool = False

    async def dispatch(
        self,
        lease: Lease,
        items: Sequence[Item],
        *,
        attempts: Mapping[int, int],
        keep: Callable[[Result], None],
        tries: int = 0,
    ) -> None:
        """Send the messages of one call that the gate has admitted, with retries where nothing was accepted for sure.

        Args:
            lease: the open lease they belong to.
            items: what to send.
            attempts: row -> dispatches already made by an earlier worker.
            keep: told every final result; a row that stays unsent has none.
            tries: dispatches already made here.

        Raises:
            LeaseLostError: the lease has a newer owner.
            MailrunError: the ledger could not be written. Where that was the intent, nothing was handed over.
        """
        begun = self.clock.monotonic()
        while items:
            tries += 1
            started = self.clock.monotonic()
            await self.recorder.record(lease, [Intent(item.row) for item in items])
            replies = await self.transport.send(items)
            ended = self.clock.monotonic()
            self.observe(ended - started)
            self._adjust_gate(replies)
            waits = [self._next_wait(reply, attempts=tries, elapsed_seconds=ended - begun) for reply in replies]
            at = self.clock.now().timestamp()
            results = [
                Result(
                    item.row,
                    _judge(reply, again=wait is not None),
                    reply.message_id,
                    reply.detail or None,
                    at,
                    attempts.get(item.row, 0) + tries,
                )
                for item, reply, wait in zip(items, replies, waits, strict=True)
            ]
            self.recorder.note(lease, results)
            for result in results:
                if result.outcome is not Outcome.UNSENT:
                    keep(result)
            again = [(item, wait) for item, wait in zip(items, waits, strict=True) if wait is not None]
            self._pause_if_told(replies, waits, tries)
            if not again:
                return
            split = len(items) > 1 and any(reply.meaning is Meaning.SPLIT for reply in replies)
            items = [item for item, _ in again]
            if await self.stop.wait(max(wait for _, wait in again)):
                return
            if split:
                await self._send_each_alone(lease, items, attempts=attempts, keep=keep, tries=tries)
                return
            if not await self.gate.admit(len(items)):
                return

    async def _send_each_alone(
        self,
        lease: Lease,
        items: Sequence[Item],
        *,
        attempts: Mapping[int, int],
        keep: Callable[[Result], None],
        tries: int,
    ) -> None:
        for item in items:
            if not await self.gate.admit(1):
                return
            await self.dispatch(lease, [item], attempts=attempts, keep=keep, tries=tries)

    def _adjust_gate(self, replies: Sequence[Reply]) -> None:
        returned = sum(reply.meaning not in _ACCEPTED_PERHAPS for reply in replies)
        if not returned:
            return
        self.gate.give_back(returned)
        if any(reply.meaning is Meaning.SLOW_DOWN for reply in replies):
            self.gate.throttle()

    def _next_wait(self, reply: Reply, *, attempts: int, elapsed_seconds: float) -> float | None:
        """Return seconds to the next attempt; None where there is none."""
        if reply.meaning is Meaning.SENT:
            return None
        policy = self._find_policy(reply.meaning)
        if policy is None:
            return None
        return policy.next_wait(attempts=attempts, elapsed_seconds=elapsed_seconds, jitter=self.jitter())

    def _find_policy(self, meaning: Meaning) -> RetryPolicy | None:
        if meaning is Meaning.IN_DOUBT and self.resend_in_doubt:
            return POLICIES[Meaning.RETRY]
        if meaning is Meaning.QUOTA and not self.wait_for_quota:
            return None
        return POLICIES.get(meaning)

    def _pause_if_told(self, replies: Sequence[Reply], waits: Sequence[float | None], tries: int) -> None:
        for reply, wait in zip(replies, waits, strict=True):
            if wait is not None:
                continue
            if reply.meaning in (Meaning.PAUSE, Meaning.QUOTA):
                self.stop.request(StopReason(StopCause.PAUSED, reply.detail, reply.remedy))
            elif reply.meaning in (Meaning.UNREACHABLE, Meaning.SLOW_DOWN):
                text = f"given up after {tries} attempts: {reply.detail}"
                remedy = "see that SES can be reached and accepts mail, then launch again"
                self.stop.request(StopReason(StopCause.PAUSED, text, remedy))


def _judge(reply: Reply, *, again: bool) -> Outcome:
    if again:
        return Outcome.UNSENT
    match reply.meaning:
        case Meaning.SENT:
            return Outcome.SENT
        case Meaning.REFUSED:
            return Outcome.REFUSED
        case Meaning.RETRY | Meaning.RETRY_ONCE | Meaning.SPLIT:
            return Outcome.FAILED
        case Meaning.IN_DOUBT:
            return Outcome.IN_DOUBT
        case Meaning.UNREACHABLE | Meaning.SLOW_DOWN | Meaning.QUOTA | Meaning.PAUSE:
            return Outcome.UNSENT
