"""The event loop of a process that sends: uvloop where it is installed, else asyncio's own."""

import asyncio
from collections.abc import Coroutine
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a new event loop; see asyncio.run."""
    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(work)


def make_loop() -> asyncio.AbstractEventLoop:
    """Make an event loop with an exact clock.

    uvloop's own clock stands still while a task computes, and counts whole milliseconds. Tasks that yield after two
    milliseconds need the time. Timers of uvloop are rounded to a millisecond, so a sleep may end half of one early.
    """
    try:
        import uvloop  # noqa: PLC0415 - only a process that sends needs it
    except ImportError:  # there is none for this platform
        return asyncio.new_event_loop()

    class ExactLoop(uvloop.Loop):
        def time(self) -> float:
            return monotonic()

    return ExactLoop()
