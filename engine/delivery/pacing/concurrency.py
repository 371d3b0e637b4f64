"""How many calls are in flight: as many as the rate needs, by Little's law, and no more.

calls in flight = calls a second times seconds a call. The seconds are measured; a quarter is added for their scatter.
Where the event loop itself is late, calls wait for it and seem slow; more of them would only make it later. In that
case there are no more than about a hundred.
"""

import asyncio
import math
import resource
from collections import deque

from msgspec import Struct, field

from engine.system.process_limits import FILES_FOR_OTHERS

FEWEST = 8
MOST = 1024
HEADROOM = 1.25
LATENCY_WEIGHT = 0.1  # of a new measurement in the moving average
LATE_SECONDS = 0.01  # a loop that is later than this is fully loaded
MOST_WHERE_LATE = 128  # so many calls keep the loop busy for some 10 ms when all answers arrive at once
FREE_TOGETHER = 8  # a worker without a free slot waits for an eighth of them; HEADROOM is more than that
BYTES_IN_FLIGHT = 16 * 1024 * 1024


def find_most(soft_limit: int | None = None) -> int:
    """Return how many connections the process may open: half of its descriptors at most, and never above MOST."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if soft_limit is None else soft_limit
    if files == resource.RLIM_INFINITY:
        return MOST
    return max(1, min(MOST, (files - FILES_FOR_OTHERS) // 2))


class Concurrency(Struct):
    """The target of calls in flight. Pure: measurements in, a number out.

    Attributes:
        most: bound by sockets.
        latency_seconds: moving average of a call, with its journal.
        target: calls that may be in flight.
    """

    most: int
    latency_seconds: float = 0.0
    target: int = 0
    _payload_bytes: float = 0.0

    def __post_init__(self) -> None:
        self.target = min(self.most, 2 * FEWEST)

    def observe(self, seconds: float) -> None:
        """Record how long a call took."""
        if self.latency_seconds == 0.0:
            self.latency_seconds = seconds
        else:
            self.latency_seconds += LATENCY_WEIGHT * (seconds - self.latency_seconds)

    def weigh(self, payload_bytes: int) -> None:
        """Record how large a call is."""
        self._payload_bytes += LATENCY_WEIGHT * (payload_bytes - self._payload_bytes)

    def adjust(self, *, calls_per_second: float, lag_seconds: float) -> None:
        """Set the target; at most double it, at most an eighth less.

        Args:
            calls_per_second: what the rate allows.
            lag_seconds: how late the event loop was recently.
        """
        needed = math.ceil(calls_per_second * self.latency_seconds * HEADROOM) + FEWEST
        if lag_seconds > LATE_SECONDS:
            needed = min(needed, max(MOST_WHERE_LATE, self.target * 7 // 8))
        by_memory = int(BYTES_IN_FLIGHT / self._payload_bytes) if self._payload_bytes else self.most
        wanted = max(FEWEST, min(needed, 2 * self.target))
        self.target = max(1, min(wanted, self.most, by_memory))


class Slots(Struct):
    """Calls in flight, counted against the target; one waiter, the worker that starts them.

    Once all slots are taken the worker waits until a part of them is free: it then makes several calls at a time, which
    share what need not be done for each.
    """

    concurrency: Concurrency
    used: int = 0
    _free: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self) -> bool:
        """Take a slot; False where none is free."""
        if self.used >= self.concurrency.target:
            return False
        self.used += 1
        return True

    async def acquire(self) -> None:
        """Wait until some slots are free, and take one."""
        while self.used > self._enough:
            self._free.clear()
            await self._free.wait()
        self.used += 1

    def release(self, slots: int = 1) -> None:
        """Release some slots."""
        self.used -= slots
        if self.used <= self._enough:
            self._free.set()

    @property
    def _enough(self) -> int:
        target = self.concurrency.target
        return target - max(1, target // FREE_TOGETHER)


class LagMeter(Struct):
    """How late the event loop wakes up, which is how long its tasks wait for each other."""

    samples: deque[float] = field(default_factory=lambda: deque(maxlen=2_000))

    def add(self, seconds: float) -> None:
        """Keep one measurement."""
        self.samples.append(max(0.0, seconds))

    @property
    def recent_seconds(self) -> float:
        """Return the mean of the last ten."""
        last = list(self.samples)[-10:]
        return sum(last) / len(last) if last else 0.0

    @property
    def p99_seconds(self) -> float:
        """Return the 99th percentile of the measurements."""
        ordered = sorted(self.samples)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] if ordered else 0.0
