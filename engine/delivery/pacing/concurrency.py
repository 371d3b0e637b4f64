"""How many calls are in flight: as many as the rate needs, by Little's law, and no more.

calls in flight = calls a second times seconds a call. The seconds are measured; a quarter is added for their scatter.
Where the event loop itself is late, calls wait for it and seem slow; more of them would only make it later. In that
case there are no more than about a hundred.
"""

import asyncio
import math
import resource
from collections import deque
from dataclasses import dataclass, field

from engine.system.process_limits import FILES_FOR_OTHERS

FEWEST = 8
MOST = 1024
HEADROOM = 1.25
LATENCY_WEIGHT = 0.1  # of a new measurement in the moving average
LATE_SECONDS = 0.01  # a loop that is later than this is fully loaded
MOST_WHERE_LATE = 128  # so many calls keep the loop busy for some 10 ms when all answers arrive at once
TURNS_SECONDS = 0.002  # of computing for calls, between two looks at sockets and timers
BYTES_IN_FLIGHT = 16 * 1024 * 1024


def find_most(soft_limit: int | None = None) -> int:
    """Return how many connections the process may open: half of its descriptors at most, and never above MOST."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if soft_limit is None else soft_limit
    if files == resource.RLIM_INFINITY:
        return MOST
    return max(1, min(MOST, (files - FILES_FOR_OTHERS) // 2))


@dataclass(slots=True)
class Concurrency:
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


@dataclass(slots=True)
class Slots:
    """Calls in flight, counted against the target; one waiter, the worker that starts them."""

    concurrency: Concurrency
    used: int = 0
    _free: asyncio.Event = field(default_factory=asyncio.Event)

    async def acquire(self) -> None:
        """Wait for a free slot and take it."""
        while self.used >= self.concurrency.target:
            self._free.clear()
            await self._free.wait()
        self.used += 1

    def release(self) -> None:
        """Release a slot."""
        self.used -= 1
        self._free.set()


@dataclass(slots=True)
class Turns:
    """Lets calls compute for some milliseconds in each round of the event loop; the others continue in the next.

    A group commit wakes all the calls that waited for it at once. Each signs and writes its body, which takes 40 µs for
    one message and half a millisecond for fifty; hundreds of them would block the loop until all are written.
    """

    _ends: float | None = None  # of this round's turns; None before the first

    async def take(self) -> None:
        """Wait for a round that has time left."""
        loop = asyncio.get_running_loop()
        while self._ends is not None and loop.time() >= self._ends:  # noqa: ASYNC110 - a pass of the loop is what it waits for
            await asyncio.sleep(0)
        if self._ends is None:
            self._ends = loop.time() + TURNS_SECONDS
            loop.call_soon(self._end_round)

    def _end_round(self) -> None:
        self._ends = None


@dataclass(slots=True)
class LagMeter:
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
