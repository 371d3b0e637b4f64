"""Where every dispatch waits: for the rate, for the 24-hour quota, or for the end."""

import asyncio

from engine.clock import Clock
from engine.delivery.pacer import Pacer
from engine.delivery.stop import Stop, StopCause, StopReason

HELD_LOOK_SECONDS = 0.1
QUOTA_REMEDY = "launch again when part of the 24-hour quota is free"


class Gate:
    """Admits dispatches one after the other: one waiter at a time, so that waking late never means a burst.

    Args:
        pacer: the rate.
        clock: monotonic time.
        stop: whoever waits is turned away when it is requested.
        left_24_hours: recipients that the account may still be sent now; None is unlimited.
    """

    def __init__(self, pacer: Pacer, clock: Clock, stop: Stop, *, left_24_hours: float | None) -> None:
        self.pacer = pacer
        self._clock = clock
        self._stop = stop
        self._left_24_hours = left_24_hours
        self._turn = asyncio.Lock()
        self.held = False  # a person paused the run: everybody waits here

    async def admit(self, recipients: int) -> bool:
        """Wait for the turn of one call.

        Returns:
            False where the worker stops: nothing may be handed over any more.
        """
        async with self._turn:
            while not self._stop.requested:
                if self.held:
                    await self._stop.wait(HELD_LOOK_SECONDS)
                    continue
                if self._left_24_hours is not None and self._left_24_hours < recipients:
                    self._stop.request(
                        StopReason(StopCause.PAUSED, "the account's 24-hour quota is used up", QUOTA_REMEDY)
                    )
                    break
                seconds = self.pacer.take(recipients, self._clock.monotonic())
                if seconds == 0.0:
                    if self._left_24_hours is not None:
                        self._left_24_hours -= recipients
                    return True
                await self._stop.wait(seconds)
        return False

    def give_back(self, recipients: int) -> None:
        """Return quota that a call did not use: SES counts accepted recipients only."""
        if self._left_24_hours is not None:
            self._left_24_hours += recipients

    def throttle(self) -> None:
        """Learn from a throttle reply."""
        self.pacer.throttle(self._clock.monotonic())

    def set_limits(self, *, ceiling: float, left_24_hours: float | None = None) -> None:
        """Take over limits that were read again.

        Args:
            ceiling: recipients a second for this worker.
            left_24_hours: as SES tells; it lags, so it can only lower what is left here.
        """
        self.pacer.set_ceiling(ceiling, self._clock.monotonic())
        if left_24_hours is not None and self._left_24_hours is not None:
            self._left_24_hours = min(self._left_24_hours, left_24_hours)
