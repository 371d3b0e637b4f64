"""Stopping in order: what blocks is abandoned, the first signal drains, the second ends."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from engine.delivery.stop import Stop, StopCause, StopReason
from engine.errors import DataError, PausedError
from engine.run.abandonable import run_in_daemon_thread, wait_unless_stopped
from engine.run.signals import stop_on_signals

T = TypeVar("T")


async def run_abandonable(work: Callable[[], T], stop: Stop, *, doing: str) -> T:
    return await wait_unless_stopped(run_in_daemon_thread(work, name="work"), stop, doing=doing)


async def test_blocking_work_returns_its_value():
    assert await run_abandonable(lambda: 7, Stop(), doing="counting") == 7


async def test_an_error_of_blocking_work_is_raised():
    def fail() -> None:
        raise DataError("bad", remedy="mend it")

    with pytest.raises(DataError, match="bad"):
        await run_abandonable(fail, Stop(), doing="counting")


async def test_blocking_work_is_abandoned_at_a_stop():
    stop, release, begun = Stop(), threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return release.wait(30)

    waiting = asyncio.create_task(run_abandonable(work, stop, doing="the audience was planned"))
    assert await asyncio.to_thread(begun.wait, 30)
    stop.request(StopReason(StopCause.SIGNAL, "stopped by SIGTERM"))
    with pytest.raises(PausedError, match="stopped while the audience was planned, nothing was sent"):
        await waiting
    release.set()  # what it does afterwards reaches nobody


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_signal_asks_to_stop_and_the_second_cancels(number: signal.Signals):
    stop = Stop()

    async def work() -> None:
        with stop_on_signals(stop):
            os.kill(os.getpid(), number)
            await stop.wait()
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(work())
    assert stop.reason == StopReason(StopCause.SIGNAL, f"stopped by {number.name}")


async def test_after_the_block_sigterm_does_what_it_did_before():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals(Stop()):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
