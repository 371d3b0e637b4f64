"""Run a command to its end and count what it used."""

import os
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import ROOT


@dataclass(frozen=True)
class Usage:
    """What a process used, with the processes that it waited for, as the kernel counts it.

    Attributes:
        cpu_seconds: user and system time of all threads.
        wall_seconds: from its start to its end.
        peak_bytes: the most memory of one process.
    """

    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int


@contextmanager
def on_cores(cores: Collection[int]) -> Iterator[None]:
    """Keep this process, and those that it starts meanwhile, to these cores."""
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path = ROOT) -> Usage:
    """Run a command; its output is dropped.

    Raises:
        RuntimeError: it ended with another code than 0; with the end of what it wrote to stderr.
    """
    with tempfile.TemporaryFile() as errors:
        begun = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            end = errors.read()[-2000:].decode(errors="replace")
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {end}")
    return Usage(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024)
