"""Settings of the Python interpreter for a process that sends."""

import asyncio
import gc
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from engine.system.process_limits import raise_file_limit


def tune_interpreter() -> None:
    """Prepare a process that sends: short pauses of its event loop, whatever its other threads do.

    Sending creates millions of objects and hardly any cycles, so the garbage collector runs seldom, and skips imported
    objects. That saves a fifth of a launch's CPU time and its longest pauses (a collection of 50,000 new objects takes
    10 ms, of 10,000 it takes 2 ms). A thread that computes releases the interpreter after a millisecond.

    Raises:
        PausedError: the process may not open as many files as sending needs.
    """
    raise_file_limit()
    sys.setswitchinterval(0.001)
    gc.freeze()
    gc.set_threshold(10_000, 500, 10)


def start_threads() -> None:
    """Start the threads of `asyncio.to_thread` in the running event loop, as many as it would start over time.

    CPython's `Thread.start` waits forever for a thread that has no memory to start: a run at its memory limit would
    hang. So no thread is started later.

    Raises:
        RuntimeError: there is no memory for them now.
    """
    count = min(32, (os.cpu_count() or 1) + 4)  # concurrent.futures' own number
    threads = ThreadPoolExecutor(count, thread_name_prefix="asyncio")
    all_there = threading.Barrier(count + 1)
    try:
        for _ in range(count):
            threads.submit(all_there.wait)
        all_there.wait()
    except BaseException:
        all_there.abort()
        raise
    asyncio.get_running_loop().set_default_executor(threads)
