"""Values that are read in the background: a page never waits long, and never fails because of them."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from support.clock import VirtualClock

from engine.dashboard.background import BackgroundReading, find_reading, is_begun
from engine.errors import ServiceError

LASTS = timedelta(minutes=5)


def make(read: Callable[[Callable[[int], None]], int], clock: VirtualClock) -> BackgroundReading[int]:
    return BackgroundReading("number", read, LASTS, clock)


def test_page_does_not_wait_for_a_value_that_takes_long(clock: VirtualClock) -> None:
    may_end = threading.Event()
    reading = make(lambda _: (may_end.wait(30) and 1) or 0, clock)
    first = reading.get()
    assert (first.value, first.at, first.problem, first.is_running) == (None, None, None, True)
    may_end.set()
    done = reading.get(wait_seconds=30)
    assert (done.value, done.at) == (1, clock.now())


def test_value_is_kept_and_read_again_when_it_is_old(clock: VirtualClock) -> None:
    calls: list[int] = []

    def read(_: object) -> int:
        calls.append(1)
        return len(calls)

    reading = make(read, clock)
    assert reading.get(30).value == 1
    clock.advance(LASTS.total_seconds() - 1)
    assert reading.get(30).value == 1
    assert len(calls) == 1
    reading.expire()
    reading.get()
    wait_until_read()
    assert reading.get().value == 2
    assert len(calls) == 2


def wait_until_read() -> None:
    for thread in threading.enumerate():
        if thread.name == "read-number":
            thread.join(30)


def test_value_stays_when_a_later_attempt_fails(clock: VirtualClock) -> None:
    answers: list[int | Exception] = [
        7,
        ServiceError("SES cannot be reached", remedy="check the network"),
        KeyError("x"),
    ]

    def read(_: object) -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    reading = make(read, clock)
    assert reading.get(30).value == 7
    for words in ("SES cannot be reached", "the number cannot be read: KeyError"):
        clock.advance(LASTS.total_seconds())
        reading.get()
        wait_until_read()
        found = reading.get()
        assert found.value == 7
        assert found.problem is not None
        assert found.problem.what == words


def test_parts_are_shown_before_the_whole(clock: VirtualClock) -> None:
    may_end = threading.Event()

    def read(publish: Callable[[int], None]) -> int:
        publish(1)
        may_end.wait(30)
        return 2

    reading = make(read, clock)
    found = reading.get(wait_seconds=30)
    assert (found.value, found.is_running) == (1, True)
    may_end.set()
    wait_until_read()
    assert reading.get().value == 2


def test_all_pages_share_a_reading(clock: VirtualClock, request: pytest.FixtureRequest) -> None:
    key = ("a test", request.node.nodeid)
    assert not is_begun(key)
    first = find_reading(key, lambda: make(lambda _: 1, clock))
    assert find_reading(key, lambda: make(lambda _: 2, clock)) is first
    assert is_begun(key)
