"""A time limit that interrupts a template that does not end.

A second thread checks the work at intervals. When one piece of work has used too much processor time, an exception is
raised in its thread, at its next bytecode. Every single step of a template is short, because `bounds` limits the sizes.
The work itself only acquires an uncontended lock twice. Time is the processor time of the thread, if the system
provides it: a process that was stopped for a minute has used none.
"""

import ctypes
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

CHECK_SECONDS = 0.25
_FEW_STEPS = 100  # a pending exception is raised within this many steps
IDLE_CHECKS = 20  # the thread ends after this many checks without work; the next work starts another


class TimeUpError(BaseException):
    """Raised inside work that takes too long. `except Exception` does not catch it."""


class Watchdog:
    """Watches one piece of work at a time, in the thread that does it: `with watchdog:`.

    Args:
        limit_seconds: of processor time that one piece of work may use.

    Raises:
        TimeUpError: from inside the block where it took too long; never after it.
    """

    def __init__(self, limit_seconds: float) -> None:
        self.limit_seconds = limit_seconds
        self._lock = threading.Lock()
        self._working = 0  # the number of the current piece of work; 0 for none
        self._pieces = 0
        self._thread = 0  # the system's id of the thread that does the work
        self._target = 0  # Python's id of the same thread
        self._is_watching = False
        self._interrupted = False  # the current work has been asked to end

    def __enter__(self) -> None:
        thread = threading.get_native_id()  # Python reuses its own ids for later threads
        with self._lock:
            self._pieces += 1
            self._working, self._interrupted = self._pieces, False
            if self._is_watching and self._thread == thread:
                return
            self._thread, self._is_watching = thread, True
        self._target = threading.get_ident()
        clock = _processor_clock(self._target)  # created here, where the thread is certainly alive
        threading.Thread(target=self._watch, args=(thread, clock), daemon=True, name="watchdog").start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        came = None
        while True:
            try:
                self._end()
                break
            except TimeUpError as time_up:  # raised while the end was being recorded; another may follow
                came = time_up
        if came is not None:
            raise came

    def _end(self) -> None:
        """Record that the work has ended; an interruption that is still pending is raised and caught here.

        It is not cancelled with None: CPython 3.11 then leaves its flag set, so that every later bytecode is slower,
        and execution never gets past one while a profiler is active (`sys.setprofile`).
        """
        with self._lock:
            self._working = 0
            interrupted, self._interrupted = self._interrupted, False
        if interrupted:
            with suppress(TimeUpError):
                _raise_in(self._target, TimeUpError)  # replaces a pending one
                for _ in range(_FEW_STEPS):
                    pass

    def _watch(self, thread: int, clock: Callable[[], float | None]) -> None:
        seen, since, idle = 0, 0.0, 0
        never = threading.Event()
        while True:
            never.wait(CHECK_SECONDS)
            working = self._working
            now = clock()
            if now is None:
                return  # the thread has ended; another one has its own watchdog thread
            if working and working == seen:
                if now - since > self.limit_seconds:
                    self._interrupt(
                        working, thread
                    )  # again at each check: Python drops an exception raised in a __del__
                continue
            seen, since = working, now
            idle = 0 if working else idle + 1
            if self._is_to_end(thread, idle):
                return

    def _is_to_end(self, thread: int, idle: int) -> bool:
        with self._lock:
            if self._thread != thread:
                return True  # another thread works now, with its own watchdog thread
            if idle >= IDLE_CHECKS and not self._working:
                self._is_watching = False
            return not self._is_watching

    def _interrupt(self, working: int, thread: int) -> None:
        with self._lock:
            if self._working == working and self._thread == thread:
                self._interrupted = True
                _raise_in(self._target, TimeUpError)


def _raise_in(thread: int, error: type[BaseException]) -> None:
    """Raise an exception in a thread at its next bytecode."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))


def _processor_clock(thread: int) -> Callable[[], float | None]:
    """Return a clock of the processor time of a living thread; it returns None when the thread has ended."""
    try:
        number = time.pthread_getcpuclockid(thread)
    except (AttributeError, OSError):  # macOS has no such clock
        return time.monotonic

    def read() -> float | None:
        try:
            return time.clock_gettime(number)
        except OSError:
            return None

    return read
