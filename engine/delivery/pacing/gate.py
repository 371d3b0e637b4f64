"""Every dispatch waits here for the rate, quotas and windows, or until the worker stops."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from engine.clock import Clock
from engine.delivery.pacing.admission import Admission
from engine.delivery.pacing.pacer import LastSecond, Pacer
from engine.stopping.stop import Stop

PAUSED_LOOK_SECONDS = 0.1
SHORTEST_WAIT_SECONDS = 0.004  # waking for every token costs more than it gains; the bucket holds more than that


class Sharing(Protocol):
    """How a worker that cannot send lends its part of the rate to the other workers."""

    async def release_share(self) -> None:
        """Leave this worker's part of the rate to the others."""

    async def claim_share(self) -> None:
        """Take it back; the others see it before anything is admitted."""


class NotShared:
    """The rate of a worker that has no others beside it."""

    async def release_share(self) -> None:
        """Do nothing: no other worker takes it."""

    async def claim_share(self) -> None:
        """Do nothing: no other worker has it."""


class SendLimit(Protocol):
    """A limit in addition to the rate: a quota, a window, a day's cap."""

    @property
    def name(self) -> str:
        """Name it, for people."""

    @property
    def releases_share(self) -> bool:
        """Return whether the others may use this worker's part of the rate while it is closed."""

    def is_open(self, recipients: int) -> bool:
        """Return whether so many may pass now."""

    async def wait(self, recipients: int) -> None:
        """Wait until it may have opened, or request the stop; the gate checks the limit again afterwards."""

    def take(self, recipients: int) -> None:
        """Count recipients that pass."""

    def give_back(self, recipients: int) -> None:
        """Count recipients that passed and were certainly not accepted."""

    @property
    def left(self) -> float | None:
        """How many more may pass; None where it does not count."""


class Gate:
    """Admits dispatches one after the other: one waiter at a time, so that waking late never means a burst.

    Args:
        pacer: the rate.
        clock: monotonic time.
        stop: when it is requested, nothing is admitted any more.
        limits: what else limits sending.
        admission: the state that is shared with other tasks; None for one of its own.
        sharing: lends this worker's part of the rate; None where no others share it.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the last two only where workers share a rate
        self,
        pacer: Pacer,
        clock: Clock,
        stop: Stop,
        limits: Sequence[SendLimit] = (),
        admission: Admission | None = None,
        sharing: Sharing | None = None,
    ) -> None:
        self.pacer = pacer
        self.admission = admission or Admission(clock)
        self._sharing: Sharing = sharing or NotShared()
        self._clock = clock
        self._stop = stop
        self._limits = limits
        self._turn = asyncio.Lock()
        self._waiting = 0  # calls that wait for their turn
        self._has_released = False
        self._last_second = LastSecond()
        self._handing = asyncio.Lock()

    @property
    def admitted(self) -> int:
        """Recipients admitted so far, without those that were certainly not accepted."""
        return self.admission.admitted

    def find_wait(self) -> str | None:
        """Return what keeps the worker from sending, apart from the rate; None where nothing does."""
        closed = next((limit for limit in self._limits if not limit.is_open(1)), None)
        if closed is not None:
            return closed.name
        return "other workers or windows" if self._has_released else None

    def most_at_once(self, most: int, seconds: float) -> int:
        """Return how many recipients one call may carry: so many seconds of the rate, and never more than is left."""
        if most == 1:
            return 1
        left = min((limit.left for limit in self._limits if limit.left is not None), default=float("inf"))
        return max(1, int(min(most, self.pacer.limit * seconds, left)))

    def admit_now(self, recipients: int) -> bool:
        """Admit one call if nothing makes it wait, and no other call waits; otherwise use `admit`."""
        if self._waiting or self._has_released or self._stop.requested:
            return False
        now = self._clock.monotonic()
        if self.admission.makes_wait(now):
            return False
        for limit in self._limits:
            if not limit.is_open(recipients):
                return False
        if self.pacer.take(recipients, now) > 0.0:
            return False
        self._count(recipients)
        return True

    async def admit(self, recipients: int) -> bool:
        """Wait until one call may be dispatched.

        Returns:
            False where the worker stops: nothing may be handed over any more.
        """
        self._waiting += 1
        try:
            async with self._turn:
                return await self._wait_for_turn(recipients)
        finally:
            self._waiting -= 1

    async def _wait_for_turn(self, recipients: int) -> bool:
        while not self._stop.requested:
            if await self._wait_for_share():
                continue
            closed = next((limit for limit in self._limits if not limit.is_open(recipients)), None)
            if closed is not None and closed.releases_share:
                await self.release_share()
                await closed.wait(recipients)
                continue
            if self._has_released:  # first let others notice it, and read the budgets again
                self._has_released = False
                await self._sharing.claim_share()
                continue
            if closed is not None:
                await closed.wait(recipients)
                continue
            seconds = self.pacer.take(recipients, self._clock.monotonic())
            if seconds == 0.0:
                self._count(recipients)
                return True
            await self._stop.wait(max(seconds, SHORTEST_WAIT_SECONDS))
        return False

    async def _wait_for_share(self) -> bool:
        """Wait a while if the admission makes all calls wait; return False if it does not."""
        now = self._clock.monotonic()
        if self.admission.is_paused:
            await self.release_share()
            await self._stop.wait(PAUSED_LOOK_SECONDS)
        elif self.admission.is_share_stale(now):  # the next heartbeat reads how many share the rate
            await self._stop.wait(PAUSED_LOOK_SECONDS)
        elif (seconds := self.admission.seconds_held(now)) > 0.0:
            await self._stop.wait(seconds)
        else:
            return False
        return True

    async def release_share(self) -> None:
        """Leave this worker's part of the rate to the others until it has something to send that no limit stops."""
        if not self._has_released:
            self._has_released = True
            await self._sharing.release_share()

    async def hand_over(self, recipients: int) -> None:
        """Wait until the last second has room for an admitted call whose intents are recorded.

        Calls accumulate behind a slow disk and in a process that was stopped. They must not leave in a burst.
        """
        if not self._handing.locked() and not self._wait_in_last_second(recipients):
            return
        async with self._handing:
            while seconds := self._wait_in_last_second(recipients):
                await self._clock.sleep(seconds)

    def _wait_in_last_second(self, recipients: int) -> float:
        return self._last_second.take(recipients, rate=self.pacer.ceiling, now=self._clock.monotonic())

    def _count(self, recipients: int) -> None:
        self.admission.admitted += recipients
        for limit in self._limits:
            limit.take(recipients)

    def give_back(self, recipients: int) -> None:
        """Return what a call did not use: SES counts accepted recipients only."""
        self.admission.admitted -= recipients
        for limit in self._limits:
            limit.give_back(recipients)

    def throttle(self) -> None:
        """Lower the rate after a throttle reply."""
        self.pacer.throttle(self._clock.monotonic())
