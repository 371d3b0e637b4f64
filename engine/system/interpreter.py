"""Python's own switches for a process that sends."""

import asyncio
import gc
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from engine.system.process_limits import raise_file_limit


def tune_interpreter() -> None:
    """Prepare a process that sends: short pauses of its event loop, whatever its other threads do.

    Sending makes millions of objects and hardly a cycle, so cycles are looked for seldom, and never in what was
    imported: a fifth of a launch's CPU, and its longest pauses (a look at 50,000 new objects takes 10 ms, at 10,000 it
    takes 2). A thread that computes gives way after a millisecond.

    Raises:
        PausedError: the process may not open as many files as sending needs.
    """
    raise_file_limit()
    sys.setswitchinterval(0.001)
    gc.freeze()
    gc.set_threshold(10_000, 500, 10)


def start_threads() -> None:
    """Start the threads of `asyncio.to_thread` in the running event loop, as many as it would start over time.

    CPython's `Thread.start` waits without end for a thread that finds no memory to begin in: a run that reaches its
    memory limit would hang. So no thread is started later.

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
