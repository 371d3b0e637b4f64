"""A clock that only moves when a test moves it, or when every task waits."""

import asyncio
from datetime import UTC, datetime, timedelta

from engine.stopping.stop import Stop

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


class VirtualClock:
    """Time for tests: sleeping moves it on at once."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds - 1000.0)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


class ClockedStop(Stop):
    """A stop whose waits move the virtual clock on instead of taking time."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        self.waits: list[float] = []

    async def wait(self, seconds: float | None = None) -> bool:
        if seconds is None:
            return await super().wait()
        self.waits.append(seconds)
        await self._clock.sleep(seconds + 1e-9)
        return self.requested
