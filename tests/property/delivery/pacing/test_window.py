"""Laws of windows over every time zone and every change of clocks in it."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.delivery.pacing.window import Window, find_moment

ZONES = sorted(available_timezones())
TIMES = st.integers(0, 24 * 60 - 1).map(lambda minutes: time(minutes // 60, minutes % 60))
HOUR = timedelta(hours=1)


def find_changes(zone: ZoneInfo, first: int, last: int) -> list[datetime]:
    """Find the hours in which the offset of a zone changes."""
    steps = range(0, (last - first) * 366 * 24, 24)
    begin = datetime(first, 1, 1, tzinfo=UTC)
    days = [begin + step * HOUR for step in steps]
    changed = [day for day, following in pairwise(days) if _offset(day, zone) != _offset(following, zone)]
    return [
        next(day + n * HOUR for n in range(24) if _offset(day + n * HOUR, zone) != _offset(day + (n + 1) * HOUR, zone))
        for day in changed
    ]


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


def is_inside(window: Window, local: time) -> bool:
    if window.opens < window.closes:
        return window.opens <= local < window.closes
    return local >= window.opens or local < window.closes


@pytest.mark.parametrize("name", ZONES)
def test_time_of_day_is_the_first_moment_that_shows_it_or_later(name: str) -> None:
    zone = ZoneInfo(name)
    for change in find_changes(zone, 2024, 2027):
        day = change.astimezone(zone).date()
        for minutes in range(0, 24 * 60, 30):
            wanted = time(minutes // 60, minutes % 60)
            moment = find_moment(day, wanted, zone)
            wall = moment.astimezone(zone).replace(tzinfo=None)
            assert wall >= datetime.combine(day, wanted)
            before = (moment.astimezone(UTC) - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None)
            assert before < datetime.combine(day, wanted)


@given(st.sampled_from(ZONES), TIMES, TIMES, st.integers(0, 10_000))
def test_window_is_open_only_at_its_local_times_and_opens_again(
    name: str, opens: time, closes: time, hours: int
) -> None:
    if opens == closes:
        return
    zone, window = ZoneInfo(name), Window(opens, closes)
    now = datetime(2025, 1, 1, 0, 17, tzinfo=UTC) + hours * HOUR
    begin, end = (moment.astimezone(UTC) for moment in window.find_span(now, zone))
    assert begin < end
    assert now < end
    assert begin - now <= timedelta(hours=49)
    last = end - timedelta(seconds=1)
    assert is_inside(window, begin.astimezone(zone).time())
    if _offset(begin, zone) == _offset(last, zone):
        assert is_inside(window, last.astimezone(zone).time())
        assert not is_inside(window, end.astimezone(zone).time()) or _offset(last, zone) != _offset(end, zone)


def test_dates_of_changes_are_found() -> None:
    assert date(2026, 3, 8) in {
        one.astimezone(ZoneInfo("America/New_York")).date()
        for one in find_changes(ZoneInfo("America/New_York"), 2026, 2027)
    }
