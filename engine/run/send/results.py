"""Every recipient's final result: kept in the open lease, counted, and judged by the guard."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from engine.clock import Clock
from engine.delivery.dispatch import Call
from engine.delivery.replies import bound_detail
from engine.ledger.journal import Outcome, Result
from engine.ledger.recorder import Recorder
from engine.run.guard.evidence import make_stop
from engine.run.guard.judge import FailureGuard
from engine.run.send.open_lease import OpenLease
from engine.stopping.stop import Stop

SUPPRESSED_DETAIL = "suppressed during the run"


class ResultKeeper(Struct, frozen=True, kw_only=True):
    """Keeps the final results of one worker.

    Attributes:
        recorder: journals the results that no dispatch has journaled.
        guard: judges the share of messages that were not sent.
        stop: is requested where that share is too high.
        clock: the wall clock.
        count: receives an outcome and the number of recipients who got it.
    """

    recorder: Recorder
    guard: FailureGuard
    stop: Stop
    clock: Clock
    count: Callable[[Outcome, int], None]

    def keep(self, opened: OpenLease, results: Sequence[Result]) -> None:
        """Keep results that are journaled."""
        opened.results.update({result.row: result for result in results})
        lost = [result for result in results if result.outcome is not Outcome.SENT]
        if sent := len(results) - len(lost):
            self.count(Outcome.SENT, sent)
            self.guard.count_sent(sent)
        for result in lost:
            self.count(result.outcome, 1)
            self._judge(result)

    def _judge(self, result: Result) -> None:
        guard = self.guard
        guard.count_lost(result.error or str(result.outcome), is_refused=result.outcome is Outcome.REFUSED)
        if guard.tripped and guard.finding is not None:
            self.stop.request(make_stop(guard.finding, guard.describe()))

    def keep_failure(self, opened: OpenLease, row: int, error: Exception) -> None:
        """Journal and keep the result of a recipient whose message cannot be made."""
        attempts = opened.attempts.get(row, 0)
        result = Result(row, Outcome.FAILED, None, bound_detail(str(error)), self.clock.now().timestamp(), attempts)
        self.recorder.note(opened.lease, [result])
        self.keep(opened, [result])

    def keep_suppressed(self, opened: OpenLease, row: int, reason: str, call: Call | None = None) -> None:
        """Journal and keep the result of a recipient who was suppressed during the run.

        A recipient who may have got the message before stays in doubt, which the guard does not count as a failure.

        Args:
            opened: the lease.
            row: of the recipient.
            reason: why the address is suppressed.
            call: the call that tried to send it; None where none did.
        """
        doubtful, tries = (opened.doubtful, 0) if call is None else (call.doubtful, call.tries)
        outcome = Outcome.IN_DOUBT if row in doubtful else Outcome.FAILED
        now, attempts = self.clock.now().timestamp(), opened.attempts.get(row, 0) + tries
        result = Result(row, outcome, None, f"{SUPPRESSED_DETAIL}: {reason}", now, attempts)
        self.recorder.note(opened.lease, [result])
        opened.results[row] = result
        self.count(outcome, 1)
