"""Work in a child process, with limits of memory and processor time that the operating system enforces.

A thread cannot interrupt one long call into C, and Python has no memory limit; a child process can have both. It is
forked, so it starts within milliseconds and has everything that its parent has. It never uses Polars, whose threads a
fork does not copy, nor ledger, store or network: its input is in memory before it starts. On other systems than Linux
the work is done in the calling process.
"""

import ctypes
import faulthandler
import gc
import mmap
import os
import pickle
import resource
import signal
import struct
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

_T = TypeVar("_T")
IS_BOUNDED = sys.platform == "linux"
_NUMBER = struct.Struct("q")
_CHUNK = 1 << 20
_PR_SET_PDEATHSIG = 1  # prctl(2): a child does not outlive its parent
_GRACE = 0.5  # seconds for the work to end by itself
_LONGEST_TRACE = 100_000  # bytes


class ProcessEndedError(Exception):
    """The child process ended before its work was done.

    Attributes:
        number: of the piece of work that was being done; None before the first.
        signal: the one that ended it; None where it ended by itself.
        trace: its stack, as faulthandler writes it; empty where that is unknown.
    """

    def __init__(self, number: int | None, ended_by: int | None, trace: str) -> None:
        super().__init__(number, ended_by, trace)
        self.number = number
        self.signal = ended_by
        self.trace = trace

    @property
    def took_too_long(self) -> bool:
        """Return whether it exceeded its limit of processor time."""
        return self.signal in (signal.SIGXCPU, signal.SIGKILL) and "most recent call first" in self.trace


class Steps:
    """Counts the pieces of work; each has its own processor time.

    Args:
        seconds: of processor time that one piece may use.
        progress: shared with the parent; None where the work is not bounded.
    """

    def __init__(self, seconds: float, progress: mmap.mmap | None = None) -> None:
        self._seconds = seconds
        self._progress = progress
        self._limit = 0
        self._enough_until = 0.0  # until then by the monotonic clock, the limit leaves each piece its time

    def begin(self, number: int) -> None:
        """Start the piece with a number, 0 or more."""
        if self._progress is None:
            return
        _NUMBER.pack_into(self._progress, 0, number)
        # This process computes in one thread, so it uses no more processor time than time passes; and the monotonic
        # clock needs no call of the system.
        now = time.monotonic()
        if now < self._enough_until:
            return
        needed = time.process_time() + self._seconds + _GRACE
        if needed > self._limit:
            self._limit = int(needed) + 1  # the limit is in whole seconds
            _limit(resource.RLIMIT_CPU, self._limit)
        self._enough_until = now + self._limit - needed


def run_bounded(work: Callable[[Steps], _T], *, memory: int, seconds: float) -> _T:
    """Do work in a child process; return its result, or raise its error.

    Args:
        work: what to do; its result is pickled.
        memory: bytes that it may use beyond what this process has.
        seconds: of processor time that each piece may use, and up to two more.

    Raises:
        ProcessEndedError: the system ended it.
    """
    if not IS_BOUNDED:
        return work(Steps(seconds))
    progress = mmap.mmap(-1, _NUMBER.size)
    _NUMBER.pack_into(progress, 0, -1)
    trace = os.memfd_create("trace")
    reading, writing = os.pipe()
    try:
        process = _fork()
        if process == 0:
            _be_child(work, Steps(seconds, progress), memory, writing, trace)
        os.close(writing)
        writing = -1
        value: _T = _wait(process, reading, progress, trace)
        return value
    finally:
        for descriptor in (reading, writing, trace):
            if descriptor >= 0:
                os.close(descriptor)
        progress.close()


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # a warning about threads: the child uses nothing that they lock
        return os.fork()


def _wait(process: int, reading: int, progress: mmap.mmap, trace: int) -> Any:
    pieces, status = [], None
    try:
        while piece := os.read(reading, _CHUNK):
            pieces.append(piece)
        status = os.waitpid(process, 0)[1]
    finally:
        if status is None:  # interrupted
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
    if status == 0:
        is_done, value = pickle.loads(b"".join(pieces))  # noqa: S301 - our own child's
        if is_done:
            return value
        raise value
    (number,) = _NUMBER.unpack_from(progress, 0)
    text = os.pread(trace, _LONGEST_TRACE, 0).decode(errors="replace")
    ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    raise ProcessEndedError(None if number < 0 else number, ended_by, text)


def _be_child(work: Callable[[Steps], Any], steps: Steps, memory: int, writing: int, trace: int) -> NoReturn:
    try:
        _leave_parent(memory, trace)
        steps.begin(-1)
        sent = _do(work, steps)
        view = memoryview(sent)
        while view:
            view = view[os.write(writing, view) :]
        os._exit(0)
    finally:
        os._exit(1)


def _leave_parent(memory: int, trace: int) -> None:
    """Remove the parent's signal handlers, and set the limits."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    gc.freeze()  # the parent's objects are not scanned again, so their pages stay shared
    threading.excepthook = lambda _: None
    faulthandler.enable(trace)
    faulthandler.register(signal.SIGXCPU, file=trace, all_threads=True, chain=True)
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - a file of the system
        _limit(resource.RLIMIT_AS, int(file.read().split()[0]) * resource.getpagesize() + memory)
    _limit(resource.RLIMIT_CORE, 0)


def _limit(kind: int, wanted: int) -> None:
    """Lower a limit, or raise it as far as it may be."""
    hard = resource.getrlimit(kind)[1]
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (soft, hard))


def _do(work: Callable[[Steps], Any], steps: Steps) -> bytes:
    try:
        return pickle.dumps((True, work(steps)))
    except BaseException as error:  # noqa: BLE001 - raised in the parent
        with suppress(Exception):
            sent = pickle.dumps((False, error))
            pickle.loads(sent)  # noqa: S301 - our own
            return sent
        return pickle.dumps((False, RuntimeError("".join(traceback.format_exception(error)))))
