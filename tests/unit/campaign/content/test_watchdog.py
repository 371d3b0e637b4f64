"""The time limit that interrupts."""

import sys
import threading
from contextlib import suppress
from time import thread_time

import pytest

from engine.campaign.content import watchdog as module
from engine.campaign.content.watchdog import TimeUpError, Watchdog

# Hypothesis looks at every garbage collection with a function of its own. An interruption inside it is dropped
# by Python with this warning, and comes again: that is how the watchdog is made.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in.*gc_callback:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.005)


def work_for(seconds: float) -> None:
    began = thread_time()
    while thread_time() - began < seconds:
        pass


def test_work_that_takes_too_long_is_interrupted() -> None:
    watchdog = Watchdog(0.1)
    with pytest.raises(TimeUpError):
        watchdog.run(work_for, 30)


def test_interruption_passes_code_that_catches_every_exception() -> None:
    def work_stubbornly() -> None:
        while True:
            with suppress(Exception):
                work_for(1)

    watchdog = Watchdog(0.1)
    with pytest.raises(TimeUpError):
        watchdog.run(work_stubbornly)


def test_many_short_pieces_of_work_are_left_alone() -> None:
    watchdog = Watchdog(0.05)
    for _ in range(40):
        watchdog.run(work_for, 0.005)


def test_work_after_an_interruption_is_not_interrupted_by_it() -> None:
    watchdog = Watchdog(0.1)
    for _ in range(3):
        with pytest.raises(TimeUpError):
            watchdog.run(work_for, 30)
        watchdog.run(work_for, 0.02)


def test_waiting_does_not_count_as_work() -> None:
    watchdog = Watchdog(0.02)
    never = threading.Event()
    watchdog.run(never.wait, 0.3)


def test_each_thread_is_interrupted_in_its_own_work() -> None:
    watchdog = Watchdog(0.1)
    ended: list[str] = []

    def work() -> None:
        try:
            watchdog.run(work_for, 30)
        except TimeUpError:
            ended.append(threading.current_thread().name)

    for name in ("first", "second"):
        thread = threading.Thread(target=work, name=name)
        thread.start()
        thread.join()
    assert ended == ["first", "second"]


def test_work_is_watched_again_after_a_long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_CHECKS", 1)
    watchdog, before = Watchdog(0.1), set(threading.enumerate())
    watchdog.run(work_for, 0)
    for thread in set(threading.enumerate()) - before:
        thread.join()
    with pytest.raises(TimeUpError):
        watchdog.run(work_for, 30)


def test_swallowed_interruption_is_raised_again() -> None:
    def work_and_swallow_one() -> None:
        try:
            work_for(30)
        except TimeUpError:  # as Python itself drops what is raised in a __del__
            work_for(30)

    with pytest.raises(TimeUpError):
        Watchdog(0.1).run(work_and_swallow_one)


def test_code_after_an_interruption_is_not_slowed_down() -> None:
    """CPython 3.11 passes no bytecode under a profiler where an interruption was called back with None."""
    watchdog, calls = Watchdog(0.05), 0

    def count(_frame: object, _event: str, _argument: object) -> None:
        nonlocal calls
        calls += 1

    with pytest.raises(TimeUpError):
        watchdog.run(work_for, 30)
    sys.setprofile(count)
    try:
        work_for(0)
    finally:
        sys.setprofile(None)
    assert calls > 0


def test_work_that_ends_while_it_is_interrupted_leaves_nothing_behind() -> None:
    watchdog = Watchdog(0.02)
    for _ in range(30):
        with suppress(TimeUpError):
            watchdog.run(work_for, 0.025)
        work_for(0.01)  # no watchdog runs: an interruption here would fail the test
