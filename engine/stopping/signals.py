"""Two-phase signals: the first drains, the second stops at once.

A handler of the event loop runs between two callbacks, so it may touch the loop's objects; it does not interrupt code
that blocks. While the audience is planned in a thread, the loop is free.
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine.errors import ExitCode
from engine.logs import get_logger
from engine.stopping.stop import Stop, StopCause, StopReason

log = get_logger()

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Signals closer together than this count as one: `timeout` and a closed terminal send two at once, and keys bounce.
SAME_SECONDS = 0.3
# Stopping at once takes a few writes to the ledger. After this time the process is killed, as in a crash.
AT_ONCE_SECONDS = 20.0


@contextmanager
def stop_on_signals(
    stop: Stop,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    end: Callable[[], None] = lambda: os._exit(ExitCode.PAUSED),
) -> Iterator[None]:
    """Request the stop on the first SIGINT, SIGTERM or SIGHUP; cancel the current task on the second.

    Further signals have no effect. A hang-up that `nohup` ignores stays ignored. Restores the handlers at the end.

    Args:
        stop: is requested.
        monotonic: seconds.
        end: ends the process where stopping at once takes too long.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    last_resort = threading.Timer(AT_ONCE_SECONDS, end)
    last_resort.daemon = True
    first: float | None = None

    def handle(name: str) -> None:
        nonlocal first
        now = monotonic()
        if first is None:
            first = now
            note = "finishing the calls in flight; a second signal stops at once" if stop.is_sending else "stopping"
            log.warning("run.stopping", signal=name, note=note)
            stop.request(StopReason(StopCause.SIGNAL, f"stopped by {name}"))
        elif now - first > SAME_SECONDS:
            stop_at_once()

    def stop_at_once() -> None:
        if not stop.at_once and task is not None:
            stop.at_once = True
            last_resort.start()
            task.cancel()

    before = {number: signal.getsignal(number) for number in NUMBERS}
    handled = [n for n in NUMBERS if n != signal.SIGHUP or before[n] != signal.SIG_IGN]
    for number in handled:
        loop.add_signal_handler(number, handle, number.name)
    try:
        yield
    finally:
        last_resort.cancel()
        for number in handled:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])
