"""Values that take long to read: read in the background, kept for some minutes, and shown with the time of reading.

A page never waits long for them: it shows what is known, and when it was read.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from msgspec import Struct

from engine.clock import Clock, SystemClock
from engine.errors import MailrunError
from engine.logs import get_logger

T = TypeVar("T")
_MOST = 64  # of different values; the oldest is dropped


class ReadSoFar(Struct, frozen=True):
    """What is known of a value.

    Attributes:
        value: the newest that was read; None where none was read yet.
        at: when it was read.
        problem: why the newest attempt failed; None where it did not.
        is_running: whether it is being read now.
    """

    value: Any
    at: datetime | None
    problem: MailrunError | None
    is_running: bool


class BackgroundReading(Generic[T]):
    """A value that threads read, one at a time.

    Args:
        name: for the log.
        read: reads it; may take any time, and raise. Its argument publishes what is known so far.
        lasts: for how long it is not read again.
        clock: both of its times.
    """

    def __init__(
        self, name: str, read: Callable[[Callable[[T], None]], T], lasts: timedelta, clock: Clock | None = None
    ) -> None:
        self._name, self._read, self._lasts, self._clock = name, read, lasts, clock or SystemClock()
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._value: T | None = None
        self._at: datetime | None = None
        self._problem: MailrunError | None = None
        self._tried: float | None = None
        self._is_running = False

    def get(self, wait_seconds: float = 0.0) -> ReadSoFar:
        """Return what is known; begin to read where that is too old.

        Args:
            wait_seconds: how long to wait for the first value.
        """
        with self._lock:
            now = self._clock.monotonic()
            is_old = self._tried is None or now - self._tried >= self._lasts.total_seconds()
            if is_old and not self._is_running:
                self._is_running = True
                self._done.clear()
                threading.Thread(target=self._work, name=f"read-{self._name}", daemon=True).start()
            is_empty = self._value is None and self._problem is None
        if is_empty and wait_seconds > 0:
            self._done.wait(wait_seconds)
        with self._lock:
            return ReadSoFar(self._value, self._at, self._problem, self._is_running)

    def expire(self) -> None:
        """Let the next `get` read again."""
        with self._lock:
            self._tried = None

    def _publish(self, value: T) -> None:
        with self._lock:
            self._value, self._at = value, self._clock.now()
            self._done.set()

    def _work(self) -> None:
        value: T | None = None
        problem: MailrunError | None = None
        try:
            value = self._read(self._publish)
        except MailrunError as error:
            problem = error
        except Exception as error:  # noqa: BLE001 - of a library, about an answer of another form; a page must not fail
            get_logger().error("dashboard.reading_failed", what=self._name, exc_info=error)
            remedy = "see the dashboard's log"
            problem = MailrunError(f"the {self._name} cannot be read: {type(error).__name__}", remedy=remedy)
        with self._lock:
            self._problem = problem
            if problem is None:
                self._value, self._at = value, self._clock.now()
            self._tried = self._clock.monotonic()
            self._is_running = False
            self._done.set()


_READINGS: dict[tuple[str, ...], BackgroundReading[Any]] = {}
_LOCK = threading.Lock()


def find_reading(key: tuple[str, ...], make: Callable[[], BackgroundReading[T]]) -> BackgroundReading[T]:
    """Find the reading of a key, which all pages of this process share; make it where there is none.

    Args:
        key: what is read, and of which workspace.
        make: makes it.
    """
    with _LOCK:
        if key not in _READINGS:
            while len(_READINGS) >= _MOST:
                _READINGS.pop(next(iter(_READINGS)))
            _READINGS[key] = make()
        return _READINGS[key]


def is_begun(key: tuple[str, ...]) -> bool:
    """Return whether a page of this process has asked for the reading of a key."""
    with _LOCK:
        return key in _READINGS
