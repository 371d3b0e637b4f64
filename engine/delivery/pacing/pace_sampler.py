"""A worker's pace samples: what it handed over since the last one, written with a heartbeat."""

from datetime import datetime

from msgspec import Struct

from engine.delivery.pacing.admission import Admission
from engine.delivery.pacing.concurrency import Slots
from engine.delivery.pacing.pacer import Pacer
from engine.ledger.figures.pace import STEP_SECONDS, PaceSample


class PaceSampler(Struct, kw_only=True):
    """Takes the samples of one worker. A heartbeat that is not due costs one comparison.

    Attributes:
        worker: its id.
        admission: counts what has passed the gate.
        pacer: has the rate, and counts the throttle replies.
        slots: has the calls in flight, and their latency.
        begun: monotonic time at which the current period began.
        step_seconds: length of the current period.
    """

    worker: str
    admission: Admission
    pacer: Pacer
    slots: Slots
    begun: float
    step_seconds: float = STEP_SECONDS
    _handed_over: int = 0
    _throttles: int = 0

    def take(self, now: datetime, monotonic: float, *, is_last: bool = False) -> PaceSample | None:
        """Return the sample of the period that ends now; None while it goes on. The next period begins.

        Args:
            now: the wall clock.
            monotonic: monotonic time.
            is_last: the worker ends: its last period may be shorter, and counts only if something happened in it.
        """
        seconds = monotonic - self.begun
        if seconds < self.step_seconds and not is_last:
            return None
        # What a call did not use is given back later: a period never counts less than nothing.
        handed_over = max(0, self.admission.admitted - self._handed_over)
        throttled = self.pacer.throttles - self._throttles
        if is_last and not handed_over and not throttled:
            return None
        self.begun = monotonic
        self._handed_over += handed_over
        self._throttles += throttled
        return PaceSample(
            worker=self.worker,
            at=now,
            seconds=round(seconds, 3),
            handed_over=handed_over,
            throttled=throttled,
            rate_limit=round(self.pacer.limit, 2),
            in_flight=self.slots.used,
            latency_ms=round(self.slots.concurrency.latency_seconds * 1000, 1),
        )
