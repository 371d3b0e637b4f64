"""Blocking work that a stop may abandon: audience planning, a question to a person."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar, cast

from engine.delivery.stop import Stop
from engine.errors import PausedError

T = TypeVar("T")


async def run_abandonable(work: Callable[[], T], stop: Stop, *, doing: str) -> T:
    """Run blocking work in a thread of its own; do not wait for it once the stop is requested.

    The thread is a daemon: an abandoned one does not hold up the end of the process.

    Args:
        work: must leave nothing behind that matters when it is abandoned.
        stop: requested by signals.
        doing: what is abandoned, for the message.

    Raises:
        PausedError: the stop was requested first.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

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
            value = work()
        except BaseException as raised:  # noqa: BLE001 - handed to whoever waits
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, daemon=True, name=doing).start()
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((done, stopping), return_when=asyncio.FIRST_COMPLETED)
        if done.done():
            return done.result()
        done.cancel()
        raise PausedError(f"stopped while {doing}, nothing was sent", remedy="launch again")
    finally:
        stopping.cancel()
