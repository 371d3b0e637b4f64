"""Time as a parameter: one interface for the wall clock, the monotonic clock and waiting."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A source of time: the wall clock, the monotonic clock and waiting."""

    def now(self) -> datetime:
        """Return the wall clock, in UTC: for records, never for rates or waits."""

    def monotonic(self) -> float:
        """Return seconds that never decrease: for rates and waits."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Return the wall clock, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the monotonic clock, in seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop."""
        await asyncio.sleep(seconds)
