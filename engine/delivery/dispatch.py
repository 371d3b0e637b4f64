"""One message from rendered to its result: admit, journal the intent, hand over, journal the result."""

from collections.abc import Callable
from dataclasses import dataclass

from engine.campaign.message import Message
from engine.clock import Clock
from engine.delivery.gate import Gate
from engine.delivery.replies import Meaning, Reply
from engine.delivery.retry import POLICIES
from engine.delivery.stop import Stop, StopCause, StopReason
from engine.delivery.transport import Transport
from engine.ledger.journal import Intent, Outcome, Result
from engine.ledger.leases import Lease
from engine.ledger.recorder import Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatcher:
    """Dispatches messages, each in its own task.

    Attributes:
        jitter: draws from 0 to 1, to spread retries.
        resend_in_doubt: the campaign's `in_doubt = "resend"`: what is in doubt is tried again, and may arrive twice.
    """

    transport: Transport
    gate: Gate
    recorder: Recorder
    stop: Stop
    clock: Clock
    jitter: Callable[[], float]
    resend_in_doubt: bool = False

    async def dispatch(self, lease: Lease, message: Message, *, attempts: int = 0) -> Result:
        """Send one message, with retries where nothing was accepted for certain.

        Args:
            lease: the open lease it belongs to.
            message: what to send.
            attempts: dispatches already made for this row, by an earlier worker.

        Returns:
            Its result, durable in the journal; `unsent` where the worker stops first.

        Raises:
            LeaseLostError: the lease has a newer owner.
            MailrunError: the ledger could not be written. Where that was the intent, nothing was handed over.
        """
        begun = self.clock.monotonic()
        while await self.gate.admit(1):
            attempts += 1
            await self.recorder.record(lease, Intent(message.row))
            reply = await self.transport.send(message)
            self._adjust_gate(reply)
            wait_seconds = self._next_wait(reply, attempts=attempts, elapsed_seconds=self.clock.monotonic() - begun)
            result = self._make_result(message.row, _judge(reply, again=wait_seconds is not None), reply, attempts)
            await self.recorder.record(lease, result)
            if result.outcome is not Outcome.UNSENT:
                return result
            if wait_seconds is None:
                self._pause(reply, attempts)
                return result
            await self.stop.wait(wait_seconds)
        return self._make_result(message.row, Outcome.UNSENT, Reply(Meaning.RETRY), attempts)

    def _adjust_gate(self, reply: Reply) -> None:
        if reply.meaning is Meaning.SLOW_DOWN:
            self.gate.throttle()
        if reply.meaning not in (Meaning.SENT, Meaning.IN_DOUBT):
            self.gate.give_back(1)

    def _next_wait(self, reply: Reply, *, attempts: int, elapsed_seconds: float) -> float | None:
        """Return seconds to the next attempt; None where there is none."""
        policy = POLICIES.get(reply.meaning)
        if reply.meaning is Meaning.IN_DOUBT and self.resend_in_doubt:
            policy = POLICIES[Meaning.RETRY]
        if policy is None:
            return None
        return policy.next_wait(attempts=attempts, elapsed_seconds=elapsed_seconds, jitter=self.jitter())

    def _make_result(self, row: int, outcome: Outcome, reply: Reply, attempts: int) -> Result:
        return Result(row, outcome, reply.message_id, reply.detail or None, self.clock.now().timestamp(), attempts)

    def _pause(self, reply: Reply, attempts: int) -> None:
        if reply.meaning is Meaning.PAUSE:
            reason = StopReason(StopCause.PAUSED, reply.detail, reply.remedy)
        else:
            text = f"given up after {attempts} attempts: {reply.detail}"
            reason = StopReason(
                StopCause.PAUSED, text, "see that SES can be reached and accepts mail, then launch again"
            )
        self.stop.request(reason)


def _judge(reply: Reply, *, again: bool) -> Outcome:
    match reply.meaning:
        case Meaning.SENT:
            return Outcome.SENT
        case Meaning.REFUSED:
            return Outcome.REFUSED
        case Meaning.RETRY:
            return Outcome.UNSENT if again else Outcome.FAILED
        case Meaning.IN_DOUBT:
            return Outcome.UNSENT if again else Outcome.IN_DOUBT
        case Meaning.UNREACHABLE | Meaning.SLOW_DOWN | Meaning.PAUSE:
            return Outcome.UNSENT
