"""Stopping in order: what blocks is abandoned, the first signal drains, the second ends."""

import asyncio
import os
import signal
import threading
import weakref
from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

import pytest

from engine.errors import DataError, PausedError
from engine.stopping.abandonable import DaemonThread, run_in_daemon_thread, wait_unless_stopped
from engine.stopping.parent import watch_parent
from engine.stopping.signals import NUMBERS, SAME_SECONDS, stop_on_signals
from engine.stopping.stop import Stop, StopCause, StopReason

T = TypeVar("T")


async def run_abandonable(work: Callable[[], T], stop: Stop, *, doing: str) -> T:
    return await wait_unless_stopped(run_in_daemon_thread(work, name="work"), stop, doing=doing)


async def test_blocking_work_returns_its_value():
    assert await run_abandonable(lambda: 7, Stop(), doing="counting") == 7


async def test_an_error_of_blocking_work_is_raised():
    def fail() -> None:
        raise DataError("bad", remedy="fix it")

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
    release.set()  # what it does afterwards has no effect


async def send_to_self(number: signal.Signals) -> None:
    """Send a signal and let the event loop handle it."""
    os.kill(os.getpid(), number)
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.mark.parametrize("number", NUMBERS)
async def test_the_first_signal_asks_to_stop_and_the_second_cancels(number: signal.Signals):
    stop, now = Stop(), [0.0]

    async def work() -> None:
        with stop_on_signals(stop, monotonic=lambda: now[0]):
            await send_to_self(number)
            assert stop.requested
            now[0] += SAME_SECONDS * 1.1
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(work())
    assert stop.reason == StopReason(StopCause.SIGNAL, f"stopped by {number.name}")
    assert stop.at_once


async def test_signals_at_the_same_time_are_one():
    """`timeout` sends two, a closed terminal does, and keys bounce."""
    stop, now = Stop(), [0.0]
    with stop_on_signals(stop, monotonic=lambda: now[0]):
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            await send_to_self(number)
            now[0] += SAME_SECONDS / 4
    assert stop.requested
    assert not stop.at_once


async def test_a_third_signal_does_not_disturb_stopping_at_once():
    stop, now, recorded = Stop(), [0.0], []

    async def run() -> None:
        with stop_on_signals(stop, monotonic=lambda: now[0]):
            try:
                for _ in range(2):
                    await send_to_self(signal.SIGINT)
                    now[0] += 1.0
            finally:
                now[0] += 1.0
                await send_to_self(signal.SIGINT)
                recorded.append("state")

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(run())
    assert recorded == ["state"]


async def test_hang_up_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop = Stop()
        with stop_on_signals(stop):
            await send_to_self(signal.SIGHUP)
        assert not stop.requested
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_a_parent_that_ends_stops_the_run_and_one_that_lives_does_not():
    parents = iter([7, 7, 1])
    stop = Stop()
    watch_parent(stop, started_by=7, read_parent=lambda: next(parents), look_seconds=0.0)
    assert not stop.requested
    assert await stop.wait(10)
    assert stop.reason is not None
    assert "(7) has ended" in stop.reason.text


async def test_after_the_block_sigterm_does_what_it_did_before():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals(Stop()):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


async def test_daemon_thread_keeps_nothing_of_work_that_is_done():
    """Else it drops a client's last reference while the process ends, and finalizers run in two threads."""

    class Work:
        def __call__(self) -> int:
            return 1

    work = Work()
    left = weakref.ref(work)
    with closing(DaemonThread("test")) as thread:
        assert await thread.run(work) == 1
        del work
        assert left() is None
