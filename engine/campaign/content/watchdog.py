"""A time limit that interrupts a template that does not end.

A second thread checks the work at intervals. When one piece of work has used too much processor time, an exception is
raised in its thread, at its next bytecode. Every single step of a template is short, because `bounds` limits the sizes.
The work itself only writes its number, and reads whether it was interrupted. Either thread writes what the other reads,
then reads what the other writes, so at least one of them sees the other's. Time is the processor time of the thread, if
the system provides it: a process that was stopped for a minute has used none.
"""

import ctypes
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, TypeVarTuple
from weakref import WeakSet

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")

CHECK_SECONDS = 0.25
_FEW_STEPS = 100  # a pending exception is raised within this many steps
IDLE_CHECKS = 20  # the thread ends after this many checks without work; the next work starts another


class TimeUpError(BaseException):
    """Raised inside work that takes too long. `except Exception` does not catch it."""


class Watchdog:
    """Watches one piece of work at a time, in the thread that does it.

    Args:
        limit_seconds: of processor time that one piece of work may use.
    """

    def __init__(self, limit_seconds: float) -> None:
        self.limit_seconds = limit_seconds
        self._pieces = 0
        self._working = 0  # the number of the current piece of work; 0 for none
        self._watch_nothing()
        _watchdogs.add(self)

    def _watch_nothing(self) -> None:
        self._lock = threading.Lock()
        self._target = 0  # Python's id of the thread whose work is watched; 0 for none
        self._watcher: threading.Thread | None = None
        self._interrupting = False  # the current work is being asked to end, or has been

    def run(self, work: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
        """Do a piece of work, and return its result.

        Raises:
            TimeUpError: from inside the work where it took too long; never after it.
        """
        try:
            self._pieces = self._working = self._pieces + 1
            if self._target != threading.get_ident():
                self._begin_watching()
            return work(*arguments)
        finally:
            self._working = 0  # before any call: there Python may raise an interruption
            if self._interrupting:
                try:
                    self._discard_interruption()
                except TimeUpError:  # raised before the watching thread was done: another may follow
                    self._discard_interruption()

    def _begin_watching(self) -> None:
        target = threading.get_ident()
        with self._lock:
            if self._target == target:
                return  # the watching thread was about to end, and goes on
            clock = _processor_clock(target)  # created here, where the thread is certainly alive
            self._watcher = threading.Thread(target=self._watch, args=(target, clock), daemon=True, name="watchdog")
            self._target = target
            self._watcher.start()

    def _discard_interruption(self) -> None:
        """Raise and catch an interruption that may still be pending when the work has ended.

        It is not cancelled with None: CPython 3.11 then leaves its flag set, so that every later bytecode is slower,
        and execution never gets past one while a profiler is active (`sys.setprofile`).
        """
        with self._lock:  # the watching thread is done
            self._interrupting = False
        with suppress(TimeUpError):
            _raise_in(threading.get_ident(), TimeUpError)  # replaces a pending one
            for _ in range(_FEW_STEPS):
                pass

    def _watch(self, target: int, clock: Callable[[], float | None]) -> None:
        me, never = threading.current_thread(), threading.Event()
        seen, since, idle = 0, 0.0, 0
        while self._watcher is me:
            never.wait(CHECK_SECONDS)
            working, now = self._working, clock()
            if now is None:  # the thread has ended; a later one with its id has processor time that is not known here
                self._watch_later_work_again(me)
                seen, now, clock = 0, time.monotonic(), time.monotonic
            if working and working == seen:
                if now - since > self.limit_seconds:
                    self._interrupt(working, target)  # again at each check: Python drops one raised in a __del__
                continue
            seen, since = working, now
            idle = 0 if working else idle + 1
            if idle >= IDLE_CHECKS:
                self._end_watching(me)

    def _watch_later_work_again(self, watcher: threading.Thread) -> None:
        with self._lock:
            if self._watcher is watcher:
                self._target = 0

    def _end_watching(self, watcher: threading.Thread) -> None:
        """End a watching thread, unless work has begun: it has looked at `_target` before or after this."""
        with self._lock:
            if self._watcher is watcher:
                target, self._target = self._target, 0
                if self._working:
                    self._target = target
                else:
                    self._watcher = None

    def _interrupt(self, working: int, target: int) -> None:
        """Interrupt a piece of work; it has ended before `_interrupting` is set here, or sees it at its end."""
        with self._lock:
            self._interrupting = True
            if self._working == working:
                _raise_in(target, TimeUpError)
            else:
                self._interrupting = False


_watchdogs: "WeakSet[Watchdog]" = WeakSet()


def _begin_again() -> None:
    for watchdog in _watchdogs:
        watchdog._watch_nothing()  # noqa: SLF001 - in a forked process, which has no watching threads


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_again)


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
