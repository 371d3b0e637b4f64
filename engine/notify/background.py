"""Notifications beside a command: a daemon thread with its own event loop, which never delays the command's work."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from engine.clock import Clock
from engine.delivery.retry import draw_jitter
from engine.errors import MailrunError
from engine.ledger.database import Ledger
from engine.ledger.notices import outbox
from engine.logs import get_logger
from engine.on_demand import OnDemand
from engine.settings import Settings
from engine.stopping.abandonable import run_in_daemon_thread
from engine.store.port import Store

if TYPE_CHECKING:
    from engine.notify.desk import NoticeDesk

LOOK_SECONDS = 1.0
STALL_LOOK_SECONDS = 15.0
LAST_LOOK_SECONDS = 0.05  # while the command waits
LAST_SECONDS = 5.0  # how long the end of a command waits for what is pending
_CANCEL_SECONDS = 1.0

log = get_logger()
_make_desk = OnDemand("engine.notify.desk:NoticeDesk")  # aiohttp and all that; only where somebody is notified


class Notifications:
    """Sends notifications beside a command, once it is started.

    Args:
        settings: with the targets.
        ledger: has the outbox.
        store: names the folders of runs.
        clock: the wall clock, and time for waits.
    """

    def __init__(self, settings: Settings, ledger: Ledger, store: Store, clock: Clock) -> None:
        self._settings, self._ledger, self._store, self._clock = settings, ledger, store, clock
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._closing, self._deadline, self._woken = threading.Event(), 0.0, asyncio.Event()
        self._delivering: dict[str, asyncio.Task[None]] = {}
        self._looked_at = float("-inf")

    def start_if_needed(self) -> None:
        """Start the thread if mailrun.toml has targets, or something waits for those of a campaign."""
        if self._settings.notify.targets:
            self.start()
            return
        try:
            with self._ledger.read() as tx:
                is_needed = outbox.has_pending(tx, of_campaigns=True)
        except MailrunError as error:  # the command itself meets it, and reports it
            log.debug("notify.unread", what=error.what)
            return
        if is_needed:
            self.start()

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True, name="notifications")
            self._thread.start()

    def close(self, seconds: float = LAST_SECONDS) -> None:
        """Send what is pending for at most so many seconds, then end the thread."""
        if self._thread is None:
            return
        self._deadline = time.monotonic() + seconds
        self._closing.set()
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._woken.set)
        self._thread.join(seconds)
        if self._thread.is_alive():
            self.abandon()
            self._thread.join(_CANCEL_SECONDS)

    def abandon(self) -> None:
        """Make the thread end now; waits for nothing."""
        self._closing.set()
        if self._loop is not None and self._main is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(self._main.cancel)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send notifications beside a block, and for a bounded time after it, unless the block is cancelled."""
        self.start_if_needed()
        try:
            yield
        except asyncio.CancelledError:
            self.abandon()
            raise
        finally:
            if self._thread is not None and not self._closing.is_set():
                with contextlib.suppress(asyncio.CancelledError):  # a second signal: the block's result is known
                    await run_in_daemon_thread(self.close, name="closing notifications")

    def _run(self) -> None:
        try:
            asyncio.run(self._work())
        except asyncio.CancelledError:
            log.info("notify.pending", note="some notifications are left: the next command of mailrun sends them")
        except Exception as error:  # noqa: BLE001 - nothing that happens here may end the command
            log.warning("notify.error", note=f"notifications stopped: {type(error).__name__}: {error}")

    async def _work(self) -> None:
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        desk = _make_desk(
            settings=self._settings, ledger=self._ledger, store=self._store, clock=self._clock, jitter=draw_jitter
        )
        while not self._is_done(await self._look(desk)):
            seconds = LAST_LOOK_SECONDS if self._closing.is_set() else LOOK_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), seconds)
            self._woken.clear()

    async def _look(self, desk: "NoticeDesk") -> float | None:
        """Begin what is due; return the seconds to what comes next, None for nothing."""
        try:
            if time.monotonic() - self._looked_at >= STALL_LOOK_SECONDS:
                self._looked_at = time.monotonic()
                self._find_stalls(desk)
            for target in desk.divide() - self._delivering.keys():
                task = self._delivering[target] = asyncio.create_task(self._deliver(desk, target))
                task.add_done_callback(lambda _, name=target: self._delivering.pop(name, None))  # type: ignore[misc]
            return 0.0 if self._delivering else desk.find_seconds_to_next()
        except MailrunError as error:  # a ledger that cannot be reached now
            log.debug("notify.unread", what=error.what)
            return None

    @staticmethod
    def _find_stalls(desk: "NoticeDesk") -> None:
        try:
            desk.find_stalls()
        except MailrunError:
            raise
        except Exception as error:  # noqa: BLE001 - the other notifications go on
            log.warning("notify.error", note=f"stalls are not found: {type(error).__name__}: {error}")

    async def _deliver(self, desk: "NoticeDesk", target: str) -> None:
        try:
            await desk.deliver(target)
        except MailrunError as error:
            log.debug("notify.unread", what=error.what)
        except Exception as error:  # noqa: BLE001 - as above; the claim ends by itself
            log.warning("notify.error", target=target, note=f"{type(error).__name__}: {error}")
            await asyncio.sleep(LOOK_SECONDS)

    def _is_done(self, seconds_to_next: float | None) -> bool:
        if not self._closing.is_set():
            return False
        return seconds_to_next is None or time.monotonic() + seconds_to_next >= self._deadline


@contextmanager
def sending_notifications(settings: Settings, ledger: Ledger, store: Store, clock: Clock) -> Iterator[Notifications]:
    """Send notifications beside a block, and for a bounded time after it."""
    notifications = Notifications(settings, ledger, store, clock)
    notifications.start_if_needed()
    try:
        yield notifications
    finally:
        notifications.close()
