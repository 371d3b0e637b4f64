"""Python's own switches for a process that sends."""

import gc
import sys

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
