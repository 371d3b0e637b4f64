"""Two-phase signals: the first drains, the second ends at once.

A handler of the event loop runs between two callbacks, so it may touch the loop's objects; it does not interrupt code
that blocks. While the audience is planned in a thread, the loop is free.
"""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from engine.delivery.stop import Stop, StopCause, StopReason

log = structlog.get_logger()

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signals(stop: Stop) -> Iterator[None]:
    """Request the stop on the first SIGINT or SIGTERM; cancel the current task on the second. Restores the handlers."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def handle(name: str) -> None:
        if stop.requested and task is not None:
            task.cancel()
            return
        log.warning("run.stopping", signal=name, note="what is in flight ends; a second signal stops at once")
        stop.request(StopReason(StopCause.SIGNAL, f"stopped by {name}"))

    for number in _SIGNALS:
        loop.add_signal_handler(number, handle, number.name)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
