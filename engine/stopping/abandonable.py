"""Work that a stop may abandon: audience planning in a thread, a question to the user."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import TypeVar, cast

from engine.errors import PausedError
from engine.stopping.stop import Stop

T = TypeVar("T")


async def wait_unless_stopped(work: Awaitable[T], stop: Stop, *, doing: str, remedy: str = "launch again") -> T:
    """Wait for work; cancel it when the stop is requested.

    Args:
        work: must be safe to abandon at any point.
        stop: requested by signals.
        doing: what is abandoned, for the message.
        remedy: how to do it again, for the message.

    Raises:
        PausedError: the stop was requested first.
    """
    done = asyncio.ensure_future(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((done, stopping), return_when=asyncio.FIRST_COMPLETED)
        if done.done():
            return done.result()
        raise PausedError(f"stopped while {doing}, nothing was sent", remedy=remedy)
    finally:
        done.cancel()
        stopping.cancel()


def run_in_daemon_thread(work: Callable[[], T], *, name: str) -> asyncio.Future[T]:
    """Run blocking work in a daemon thread, which does not keep the process from ending when it is abandoned."""
    done, run = _prepare(work)
    threading.Thread(target=run, daemon=True, name=name).start()
    return done


class DaemonThread:
    """A daemon thread that is started beforehand, and then runs one piece of blocking work after the other.

    CPython's `Thread.start` waits forever for a thread that has no memory to start: a run at its memory limit would
    hang.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._run_all, daemon=True, name=name).start()

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Run work after what was given before; it may be abandoned, as with run_in_daemon_thread."""
        done, run = _prepare(work)
        self._queue.put(run)
        return done

    def close(self) -> None:
        """End the thread after what was given; waits for nothing."""
        self._queue.put(None)

    def _run_all(self) -> None:
        while (run := self._queue.get()) is not None:
            run()


def _prepare(work: Callable[[], T]) -> tuple[asyncio.Future[T], Callable[[], None]]:
    """Make the future of work, and the function that does the work and settles the future, for another thread."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    # Taken out when it runs, so that the thread never drops the last reference, such as to a client with connections:
    # its finalizers would run in the thread while the process ends.
    pending = [work]

    def settle(value: T | None, error: BaseException | None) -> None:
        if done.done():
            return  # abandoned
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast("T", value))

    def run() -> None:
        value, error = None, None
        try:
            value = pending.pop()()
        except BaseException as raised:  # noqa: BLE001 - handed to the coroutine that waits
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, value, error)

    return done, run
