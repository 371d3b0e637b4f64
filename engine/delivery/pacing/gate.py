"""Where every dispatch waits: for the rate, for what bars the way, or for the end."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol

from engine.clock import Clock
from engine.delivery.pacing.pacer import LastSecond, Pacer
from engine.stopping.stop import Stop

HELD_LOOK_SECONDS = 0.1
SHARE_SECONDS = 10.0  # how long a part of the rate holds without a heartbeat: the others take it over after 15 s
SHORTEST_WAIT_SECONDS = 0.004  # waking for every token costs more than it gains; the bucket holds more than that


class Rest(Protocol):
    """Tells the others that this worker sends nothing for now, or does again."""

    def __call__(self, *, resting: bool) -> Awaitable[None]:
        """Leave this worker's part of the rate to the others, or claim it again."""


async def _rest_alone(*, resting: bool) -> None:
    """Nobody shares the rate."""


class SendLimit(Protocol):
    """Something beside the rate that may bar the way: a quota, a window, a day's cap."""

    @property
    def rests(self) -> bool:
        """Tell whether others may have this worker's part of the rate while it bars the way."""

    def is_open(self, recipients: int) -> bool:
        """Tell whether so many may pass now."""

    async def wait(self, recipients: int) -> None:
        """Wait a while, or until it may have opened, or request the stop; then it is asked again."""

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
        stop: whoever waits is turned away when it is requested.
        limits: what else may bar the way.
    """

    def __init__(self, pacer: Pacer, clock: Clock, stop: Stop, limits: Sequence[SendLimit] = ()) -> None:
        self.pacer = pacer
        self.admitted = 0
        self.held = False  # a person paused the run: everybody waits here
        self.tell_rest: Rest = _rest_alone
        self._clock = clock
        self._stop = stop
        self._limits = limits
        self._turn = asyncio.Lock()
        self._held_until = float("-inf")
        self._resting = False
        self._last_second = LastSecond()
        self._handing = asyncio.Lock()
        self._share_until = float("inf")
        self._share_until_at = float("inf")

    def most_at_once(self, most: int, seconds: float) -> int:
        """Tell how many recipients one call may carry: so many seconds of the rate, and never more than is left."""
        left = min((limit.left for limit in self._limits if limit.left is not None), default=float("inf"))
        return max(1, int(min(most, self.pacer.limit * seconds, left)))

    async def admit(self, recipients: int) -> bool:
        """Wait for the turn of one call.

        Returns:
            False where the worker stops: nothing may be handed over any more.
        """
        async with self._turn:
            while not self._stop.requested:
                if self.held:
                    await self.rest()
                    await self._stop.wait(HELD_LOOK_SECONDS)
                    continue
                now = self._clock.monotonic()
                if self._is_share_stale(now):  # the next heartbeat tells how many share the rate by now
                    await self._stop.wait(HELD_LOOK_SECONDS)
                    continue
                if self._held_until > now:
                    await self._stop.wait(self._held_until - now)
                    continue
                closed = next((limit for limit in self._limits if not limit.is_open(recipients)), None)
                if closed is not None and closed.rests:
                    await self.rest()
                    await closed.wait(recipients)
                    continue
                if self._resting:  # the others must see it first; and whoever rests learns nothing of a budget
                    self._resting = False
                    await self.tell_rest(resting=False)
                    continue
                if closed is not None:
                    await closed.wait(recipients)
                    continue
                seconds = self.pacer.take(recipients, now)
                if seconds == 0.0:
                    self._count(recipients)
                    return True
                await self._stop.wait(max(seconds, SHORTEST_WAIT_SECONDS))
        return False

    async def rest(self) -> None:
        """Leave this worker's part of the rate to the others until it has something to send that nothing bars."""
        if not self._resting:
            self._resting = True
            await self.tell_rest(resting=True)

    async def hand_over(self, recipients: int) -> None:
        """Wait until the last second has room for an admitted call whose intents are recorded.

        A slow disk gathers calls, and a process that was stopped holds some: neither may end in a burst.
        """
        async with self._handing:
            while seconds := self._last_second.take(recipients, rate=self.pacer.ceiling, now=self._clock.monotonic()):
                await self._clock.sleep(seconds)

    def renew_share(self, begun: float, begun_at: float, *, hold_seconds: float) -> None:
        """Take note of a heartbeat: the others count on this worker's part from now on.

        Args:
            begun: monotonic time before the heartbeat was recorded.
            begun_at: wall clock then, in Unix time; a machine's sleep is seen by one of the two.
            hold_seconds: how long nobody is admitted where the others may have taken the part over meanwhile.
        """
        if self._is_share_stale(self._clock.monotonic()):
            self.hold(hold_seconds)
        self._share_until, self._share_until_at = begun + SHARE_SECONDS, begun_at + SHARE_SECONDS

    def _is_share_stale(self, now: float) -> bool:
        return now > self._share_until or self._clock.now().timestamp() > self._share_until_at

    def _count(self, recipients: int) -> None:
        self.admitted += recipients
        for limit in self._limits:
            limit.take(recipients)

    def give_back(self, recipients: int) -> None:
        """Return what a call did not use: SES counts accepted recipients only."""
        self.admitted -= recipients
        for limit in self._limits:
            limit.give_back(recipients)

    def throttle(self) -> None:
        """Learn from a throttle reply."""
        self.pacer.throttle(self._clock.monotonic())

    def hold(self, seconds: float) -> None:
        """Admit nobody for a while: other workers must first see that there is one more."""
        self._held_until = max(self._held_until, self._clock.monotonic() + seconds)

    def set_ceiling(self, ceiling: float) -> None:
        """Take over the rate of this worker, in recipients a second."""
        self.pacer.set_ceiling(ceiling, self._clock.monotonic())
