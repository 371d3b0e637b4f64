"""Fails a pure test that does I/O, by Python's audit events, which no library bypasses.

A file may be read where imports read files: below the engine, Python and its packages, and the system's time zones.
Hypothesis may read and write any file: it stores failing examples, and reads the constants of modules.
"""

import os
import sys
import sysconfig
import threading
import zoneinfo
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import hypothesis
import pytest

from support.paths import ROOT, TESTS

_READABLE = tuple(
    {
        f"{os.path.realpath(folder)}/"
        for folder in (
            str(ROOT / "engine"),
            sys.prefix,
            sys.base_prefix,
            *sysconfig.get_paths().values(),
            *zoneinfo.TZPATH,
            *(entry for entry in sys.path if entry.endswith("-packages")),
        )
    }
)
_CACHES = ("/__pycache__/",)  # Python writes them in any test
_PYTHON = (sysconfig.get_path("stdlib"), "<frozen ", __file__)
_HYPOTHESIS = str(Path(hypothesis.__file__).parent)
_READS = ("open", "os.listdir", "os.scandir")
_FILE_CALLS = (
    "chdir chflags chmod chown exec fork forkpty link lockf mkdir posix_spawn remove removexattr rename rmdir setxattr"
    " spawn symlink system truncate utime"
)
_SOCKET_CALLS = "bind connect getaddrinfo gethostbyaddr gethostbyname getnameinfo sendmsg sendto"
_WRITES = frozenset(["subprocess.Popen", *(f"os.{name}" for name in _FILE_CALLS.split())])
_NETWORK = frozenset(f"socket.{name}" for name in _SOCKET_CALLS.split())


class Listener:
    """Receives the audit events of this process; a hook cannot be removed, so there is only one."""

    def __init__(self) -> None:
        self._find: Callable[[str, tuple[Any, ...]], str | None] | None = None
        self._in_threads: list[str] = []

    @contextmanager
    def watch(self, find: Callable[[str, tuple[Any, ...]], str | None]) -> Generator[None]:
        """Fail code in the block where it does I/O; I/O of other threads fails at the end of the block."""
        self._find, self._in_threads = find, []
        try:
            yield
        finally:
            self._find = None
        if self._in_threads:
            _refuse(self._in_threads[0])

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Receive an audit event; an exception in another thread would not reach the test."""
        if self._find is None or (found := self._find(event, arguments)) is None or _is_of_hypothesis():
            return
        if threading.current_thread() is threading.main_thread():
            _refuse(found)
        self._in_threads.append(found)


def find_io(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Describe an audit event that is I/O; None for any other."""
    if event == "sqlite3.connect":
        is_io = arguments[0] != ":memory:"
    elif event in _READS:
        is_io = not _may_read(event, *arguments)
    else:
        is_io = event in _NETWORK
    return _describe(event, arguments) if is_io else find_change(event, arguments)


def find_change(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Describe an audit event that changes files or starts a process; None for any other."""
    if event not in _WRITES and not (event == "open" and _is_writing(arguments[2])):
        return None
    return None if arguments and _is_cache(_place_of(arguments[0])) else _describe(event, arguments)


def _describe(event: str, arguments: tuple[Any, ...]) -> str:
    return f"{event} {', '.join(map(repr, arguments))}"


def _may_read(event: str, path: object, _mode: object = None, flags: object = 0) -> bool:
    place = _place_of(path)
    if _is_cache(place):
        return True
    if event != "open" and place in map(os.path.realpath, sys.path):  # where imports search
        return True
    is_source = place.startswith(str(TESTS)) and place.endswith(".py")  # which failures quote
    return not _is_writing(flags) and (is_source or f"{place}/".startswith(_READABLE))


def _is_writing(flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _place_of(path: object) -> str:
    """Return where a path leads; nowhere for a descriptor, whose file, pipe or socket something else opened."""
    return os.path.realpath(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else ""


def _is_of_hypothesis() -> bool:
    """Return whether Hypothesis itself does this, and not a test or the code that it calls."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and _is_of_python(frame.f_code.co_filename):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(_HYPOTHESIS)


def _is_of_python(file: str) -> bool:
    return file.startswith(_PYTHON) and "-packages" not in file


def _is_cache(place: str) -> bool:
    return any(cache in f"{place}/" for cache in _CACHES)


def _refuse(found: str) -> None:
    raise pytest.fail.Exception(f"a pure test does I/O: {found}; move it to tests/contract, or give the code a value")


LISTENER = Listener()
sys.addaudithook(LISTENER.hear)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Watch what a module changes when it is imported; what libraries read at their import is allowed."""
    if not isinstance(collector, pytest.Module):
        return (yield)
    with LISTENER.watch(find_change):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    """Watch the fixtures."""
    with LISTENER.watch(find_io):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    """Watch the test."""
    with LISTENER.watch(find_io):
        return (yield)
