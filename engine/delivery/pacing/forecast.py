"""Forecast a run in one sentence: when it is done, or what stops it before: the quota, the warm-up, the window."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from engine.delivery.pacing.window import Window

_MILLION, _THOUSAND = 1_000_000, 10_000
_UTC = ZoneInfo("UTC")
_MOST_DAYS = 3_660  # a forecast covers at most this time


class Opening(Struct, frozen=True):
    """The sending window, as a forecast needs it.

    Attributes:
        window: None where it is always open, or every recipient has one of their own.
        zone: the time zone of the window's times.
        pauses: `outside = "pause"`.
    """

    window: Window | None = None
    zone: ZoneInfo = _UTC
    pauses: bool = False


_ALWAYS = Opening()


def forecast_sending(  # noqa: PLR0913 - whatever may end it
    *,
    recipients: int,
    rate: float,
    left_24_hours: float | None,
    waits: bool,
    now: datetime,
    warmup_left: float | None = None,
    opening: Opening = _ALWAYS,
) -> str:
    """Forecast when a run will be done, or what will stop it before.

    Args:
        recipients: how many are left to send to.
        rate: recipients a second.
        left_24_hours: what the quota still allows; None is unlimited.
        waits: `at_quota = "wait"`.
        now: in the time zone of the times in the sentence.
        warmup_left: what the warm-up still allows today; None is unlimited.
        opening: the sending window.

    >>> forecast_sending(recipients=3_200_000, rate=200, left_24_hours=1_100_000, waits=False,
    ...     now=datetime(2026, 11, 24, 12, 33, 30))
    '3.2 M recipients, 1.1 M left today: pauses at about 14:05'
    """
    parts = [f"{_round(recipients)} recipient{'' if recipients == 1 else 's'}"]
    parts += [f"{_round(left)} left today" for left in (left_24_hours,) if left is not None]
    parts += [f"{_round(left)} of the warm-up left today" for left in (warmup_left,) if left is not None]
    most, end = float(recipients), "done"
    if left_24_hours is not None and left_24_hours < most:
        most, end = left_24_hours, "waits from" if waits else "pauses"
    if warmup_left is not None and warmup_left < most:
        most, end = warmup_left, "pauses"
    moment, ended = _find_end(most / rate, now, opening)
    return f"{', '.join(parts)}: {end if ended else 'pauses'} {_when(moment, now)}"


def _find_end(seconds: float, now: datetime, opening: Opening) -> tuple[datetime, bool]:
    """Return when so many seconds of sending are over; or when the window closes and the run pauses, and False."""
    moment, left = now, timedelta(seconds=seconds)
    if opening.window is None:
        return moment + left, True
    for _ in range(_MOST_DAYS):
        begin, end = opening.window.find_span(moment, opening.zone)
        if opening.pauses and begin > moment:
            return moment, False
        moment = max(moment, begin.astimezone(now.tzinfo))
        if left <= end - moment:
            break
        left -= end - moment
        moment = end.astimezone(now.tzinfo)
    return moment + left, True


def _round(count: float) -> str:
    if count >= _MILLION:
        return f"{count / _MILLION:.1f} M"
    return f"{count / 1000:.0f} k" if count >= _THOUSAND else f"{count:,.0f}"


def _when(moment: datetime, now: datetime) -> str:
    days = (moment.date() - now.date()).days
    return f"at about {moment:%H:%M %Z}".rstrip() if days == 0 else f"at about {moment:%Y-%m-%d %H:%M %Z}".rstrip()
