"""`--exit-with-parent`: stops a run when the process that started it has ended.

PR_SET_PDEATHSIG would fire when the *thread* that started this process ends, and schedulers start processes in threads
that end early. So the process is watched.
"""

import asyncio
import os
from collections.abc import Callable

from engine.stopping.stop import Stop, StopCause, StopReason

LOOK_SECONDS = 0.5


def watch_parent(
    stop: Stop, *, started_by: int, read_parent: Callable[[], int] = os.getppid, look_seconds: float = LOOK_SECONDS
) -> None:
    """Request the stop once the process that started this one has ended; checks twice a second.

    Args:
        stop: is requested then.
        started_by: process id of the parent when this process started.
        read_parent: reads the parent's process id.
        look_seconds: between two checks.
    """
    loop = asyncio.get_running_loop()

    def look() -> None:
        if read_parent() != started_by:
            text = f"the process that started this one ({started_by}) has ended, and --exit-with-parent was given"
            stop.request(StopReason(StopCause.SIGNAL, text))
        elif not stop.requested:
            loop.call_later(look_seconds, look)

    look()
