"""Limits in addition to the rate: budgets that run out, windows that close."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import ClassVar
from zoneinfo import ZoneInfo

from msgspec import Struct

from engine.clock import Clock
from engine.delivery.pacing.window import Window
from engine.logs import get_logger
from engine.stopping.stop import Stop, StopCause, StopReason

LOOK_AGAIN_SECONDS = 30.0  # how often a budget that is used up is read again: GetAccount allows one call a second
LONGEST_SLEEP_SECONDS = 60.0  # of waiting for a window; the wall clock may jump

_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)

log = get_logger()


class Allowance(Struct):
    """How many recipients this worker may still send to; None is unlimited."""

    left: float | None = None

    def scale(self, factor: float) -> None:
        """Set a larger or smaller part: more or fewer workers share the whole."""
        if self.left is not None:
            self.left *= factor


class Budget(Struct):
    """A number of recipients that may still pass: the 24-hour quota, or a day's cap while a domain warms up.

    Attributes:
        name: for logs.
        allowance: this worker's part.
        reread: reads the whole again and sets the allowance.
        at_end: why the run pauses where nothing is left; None, or a function that returns it, where it waits instead.
        stop: requested in that case.
        clock: monotonic time.
    """

    name: str
    allowance: Allowance
    reread: Callable[[], Awaitable[None]]
    at_end: Callable[[], StopReason | None] | None
    stop: Stop
    clock: Clock
    _read_at: float = float("-inf")
    # Every worker has its own part, and all parts run out at about the same time.
    releases_share: ClassVar[bool] = False

    @property
    def left(self) -> float | None:
        """How many may still pass; None is unlimited."""
        return self.allowance.left

    def is_open(self, recipients: int) -> bool:
        """Return whether so many are left."""
        left = self.allowance.left
        return left is None or left >= recipients

    async def wait(self, recipients: int) -> None:
        """Read the budget again; if nothing is left, pause the run, or wait until part of it is free."""
        waits = self.at_end is None or self.at_end() is None
        if waits and self.clock.monotonic() - self._read_at < LOOK_AGAIN_SECONDS:
            await self.stop.wait(LOOK_AGAIN_SECONDS)
        await self.reread()
        self._read_at = self.clock.monotonic()
        if self.is_open(recipients):
            return
        reason = None if self.at_end is None else self.at_end()
        if reason is not None:
            self.stop.request(reason)
            return
        log.info("delivery.waiting", budget=self.name, note=f"{self.name} is used up: waiting until part of it is free")

    def take(self, recipients: int) -> None:
        """Count recipients that pass."""
        if self.allowance.left is not None:
            self.allowance.left -= recipients

    def give_back(self, recipients: int) -> None:
        """Count recipients that were not accepted."""
        if self.allowance.left is not None:
            self.allowance.left += recipients


class Hours(Struct):
    """The campaign's sending window and deadline.

    Attributes:
        window: None where it is always open.
        zone: the time zone of the window's times.
        deadline: no message is sent after it; None for no end.
        pauses: `outside = "pause"`, else waits.
        stop: requested at the deadline, or where the run pauses outside the window.
        clock: the wall clock.
    """

    window: Window | None
    zone: ZoneInfo
    deadline: datetime | None
    pauses: bool
    stop: Stop
    clock: Clock
    _open_from: datetime = _LAST
    _open_until: datetime = _FIRST
    name: ClassVar[str] = "the sending window"
    left: ClassVar[None] = None
    releases_share: ClassVar[bool] = True

    def is_open(self, recipients: int) -> bool:  # noqa: ARG002 - a SendLimit's signature
        """Return whether messages may leave now."""
        now = self.clock.now()
        if self._open_from <= now < self._open_until:
            return True
        if self.deadline is not None and now >= self.deadline:
            return False
        if self.window is None:
            self._open_from = now
            self._open_until = self.deadline or _LAST
            return True
        begin, end = self.window.find_span(now, self.zone)
        if now < begin:
            return False
        self._open_from, self._open_until = begin, end if self.deadline is None else min(end, self.deadline)
        return True

    async def wait(self, recipients: int) -> None:  # noqa: ARG002 - as above
        """Wait for the window, or pause the run."""
        now = self.clock.now()
        if self.deadline is not None and now >= self.deadline:
            remedy = "the recipients that are left stay unsent; to send to them, launch under another --key"
            self.stop.request(StopReason(StopCause.PAUSED, describe_deadline(self.deadline, self.zone), remedy))
            return
        assert self.window is not None  # noqa: S101 - without a window only the deadline closes
        begin, _ = self.window.find_span(now, self.zone)
        text = f"outside the sending window, which opens at {begin.astimezone(self.zone):%Y-%m-%d %H:%M %Z}"
        if self.pauses:
            self.stop.request(StopReason(StopCause.PAUSED, text, "launch again then"))
            return
        log.info("delivery.waiting", until=begin.isoformat(), note=text)
        while (seconds := (begin - self.clock.now()).total_seconds()) > 0:
            if await self.stop.wait(min(seconds, LONGEST_SLEEP_SECONDS)):
                return

    def take(self, recipients: int) -> None:
        """Hours do not count."""

    def give_back(self, recipients: int) -> None:
        """Hours do not count."""


def describe_deadline(deadline: datetime, zone: ZoneInfo) -> str:
    """Return the text of the stop at the deadline."""
    return f"not_after has passed: {deadline.astimezone(zone):%Y-%m-%d %H:%M %Z}"
