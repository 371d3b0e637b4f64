"""When an idle connection may be used again; the time is the test's own."""

from typing import Any

import pytest

from engine.delivery.transports import idle_connections as module
from engine.delivery.transports.idle_connections import IdleConnections

STEP = 1 / 1024  # adds up without rounding


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


class Kept:
    """An idle connection of which nothing is read."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self.idle_seconds: float | None = None
        self.expires_at = float("inf")
        self.is_usable = True
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def add(idle: IdleConnections, *, stated: float | None = None) -> Any:
    connection: Any = Kept()
    connection.idle_seconds = stated
    idle.add(connection)
    return connection


def seconds_until_used(idle: IdleConnections, clock: Clock) -> float:
    """Return after how much idling a connection is used again."""
    add(idle)
    began = clock.now
    while idle.take(young=False) is None:
        clock.now += STEP
    return clock.now - began


def test_a_connection_is_used_again_when_it_was_quiet_for_a_moment(clock: Clock):
    assert 0.05 <= seconds_until_used(IdleConnections(), clock) <= 0.05 + STEP


def test_one_that_was_quiet_waits_again_once_another_is_closed_later(clock: Clock):
    idle = IdleConnections()
    kept = add(idle)
    clock.now += 0.1
    idle.close_stale()  # it was quiet for long enough
    idle.note_closed(0.1)
    assert idle.take(young=False) is None
    clock.now += 0.1
    assert idle.take(young=False) is kept


def test_one_that_waits_to_be_read_is_closed_and_not_used(clock: Clock):
    idle = IdleConnections()
    kept = add(idle)
    kept.is_usable = False
    clock.now += 1.0
    assert idle.take(young=True) is None
    assert kept.is_closed


def test_the_one_used_last_is_used_first_and_the_others_are_closed_in_time(clock: Clock):
    idle = IdleConnections()
    surplus, other = add(idle), add(idle)
    for _ in range(130):
        clock.now += 0.1
        taken = idle.take(young=False)
        assert taken is not None
        assert taken is other
        idle.close_stale()
        idle.add(taken)
    assert surplus.is_closed
    assert len(idle) == 1


@pytest.mark.usefixtures("clock")
def test_a_young_one_is_used_only_where_that_is_asked():
    idle = IdleConnections()
    kept = add(idle)
    assert idle.take(young=False) is None
    assert idle.take(young=True) is kept
    assert len(idle) == 0


@pytest.mark.parametrize(
    ("closed_after", "stated", "longest"), [(None, None, 12.0), (4.0, None, 2.0), (None, 5.0, 2.5)]
)
def test_none_is_kept_for_longer_than_the_server_keeps_it(
    clock: Clock, closed_after: float | None, stated: float | None, longest: float
):
    idle = IdleConnections()
    if closed_after is not None:
        idle.note_closed(closed_after)
    add(idle, stated=stated)
    clock.now += longest
    idle.close_stale()
    assert len(idle) == 1
    clock.now += STEP
    idle.close_stale()
    assert len(idle) == 0


def test_a_server_that_closes_soon_is_given_twice_the_time_for_a_minute(clock: Clock):
    idle = IdleConnections()
    idle.note_closed(0.1)
    assert seconds_until_used(idle, clock) >= 0.2
    clock.now += 61
    assert seconds_until_used(idle, clock) <= 0.05 + STEP
