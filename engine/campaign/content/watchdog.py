"""A time limit that really interrupts: a template that does not end is ended, whatever it does.

A thread checks the work under way from time to time. Where one piece of work has used more processor time than it may,
an exception is raised inside its thread, at its next bytecode; no single step of a template takes long, because
`limits` bounds their sizes. The work itself pays a free lock twice. Time is the thread's own processor time, where the
system tells it: a process that was stopped for a minute has used none.
"""

import ctypes
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

LOOK_SECONDS = 0.25
_FEW_STEPS = 100  # an exception that is on its way comes within a few
IDLE_LOOKS = 20  # the thread ends after so many looks at no work, and begins again with the next


class TimeUpError(BaseException):
    """Raised inside work that takes too long. No `except Exception` on its way holds it up."""


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
        self._working = 0  # the number of the piece of work that is under way; 0 is none
        self._pieces = 0
        self._thread = 0  # that does the work, as the system numbers it
        self._target = 0  # the same, as Python does
        self._is_looking = False
        self._interrupted = False  # the work under way has been asked to end

    def __enter__(self) -> None:
        thread = threading.get_native_id()  # the other kind of number is given to the next thread again
        with self._lock:
            self._pieces += 1
            self._working, self._interrupted = self._pieces, False
            if self._is_looking and self._thread == thread:
                return
            self._thread, self._is_looking = thread, True
        self._target = threading.get_ident()
        clock = _processor_clock(self._target)  # asked for here: the thread is certainly alive
        threading.Thread(target=self._look, args=(thread, clock), daemon=True, name="watchdog").start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        came = None
        while True:
            try:
                self._end()
                break
            except TimeUpError as time_up:  # it came while the end was being recorded; so may another one
                came = time_up
        if came is not None:
            raise came

    def _end(self) -> None:
        """Record that the work has ended; an interruption that is still on its way is taken here.

        It is not called back with None: CPython 3.11 then leaves its flag set, so that every later bytecode is slower,
        and none is ever passed while a profiler looks on (`sys.setprofile`).
        """
        with self._lock:
            self._working = 0
            interrupted, self._interrupted = self._interrupted, False
        if interrupted:
            with suppress(TimeUpError):
                _raise_in(self._target, TimeUpError)  # in place of one that is on its way
                for _ in range(_FEW_STEPS):
                    pass

    def _look(self, thread: int, clock: Callable[[], float | None]) -> None:
        seen, since, idle = 0, 0.0, 0
        never = threading.Event()
        while True:
            never.wait(LOOK_SECONDS)
            working = self._working
            now = clock()
            if now is None:
                return  # the thread has ended; another one has its own watcher
            if working and working == seen:
                if now - since > self.limit_seconds:
                    self._interrupt(working, thread)  # again with each look: Python drops what is raised in a __del__
                continue
            seen, since = working, now
            idle = 0 if working else idle + 1
            if self._is_to_end(thread, idle):
                return

    def _is_to_end(self, thread: int, idle: int) -> bool:
        with self._lock:
            if self._thread != thread:
                return True  # another thread works now, with its own watcher
            if idle >= IDLE_LOOKS and not self._working:
                self._is_looking = False
            return not self._is_looking

    def _interrupt(self, working: int, thread: int) -> None:
        with self._lock:
            if self._working == working and self._thread == thread:
                self._interrupted = True
                _raise_in(self._target, TimeUpError)


def _raise_in(thread: int, error: type[BaseException]) -> None:
    """Raise an exception in a thread at its next bytecode."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))


def _processor_clock(thread: int) -> Callable[[], float | None]:
    """Return a clock of the processor time of a living thread; it says None when the thread has ended."""
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
