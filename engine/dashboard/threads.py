"""Threads for blocking reads: a bounded number, started beforehand."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from engine.stopping.abandonable import DaemonThread

THREADS = 4
MOST_WAITING = 64  # requests; more are answered 503

T = TypeVar("T")


class BusyError(Exception):
    """Too many requests wait for a thread."""


class ReadThreads:
    """Runs blocking reads in threads, which do not keep the process from ending.

    Args:
        count: how many.
    """

    def __init__(self, count: int = THREADS) -> None:
        self._idle: asyncio.Queue[DaemonThread] = asyncio.Queue()
        self._all = [DaemonThread(f"dashboard-{number}") for number in range(count)]
        for thread in self._all:
            self._idle.put_nowait(thread)
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Run blocking work in the next idle thread.

        Raises:
            BusyError: too many wait already.
        """
        if self._waiting >= MOST_WAITING:
            raise BusyError
        self._waiting += 1
        try:
            thread = await self._idle.get()
        finally:
            self._waiting -= 1
        try:
            return await thread.run(work)
        finally:
            self._idle.put_nowait(thread)

    def close(self) -> None:
        """End the threads once they are idle; waits for nothing."""
        for thread in self._all:
            thread.close()
