"""What will happen, in one sentence: how long it takes, and whether the 24-hour quota ends it before."""

from datetime import datetime, timedelta

_MILLION, _THOUSAND = 1_000_000, 10_000


def forecast_sending(*, recipients: int, rate: float, left_24_hours: float | None, waits: bool, now: datetime) -> str:
    """Say when a run will be done, or when the 24-hour quota will be used up.

    Args:
        recipients: how many are left to send to.
        rate: recipients a second.
        left_24_hours: what the quota still allows; None is unlimited.
        waits: `at_quota = "wait"`.
        now: in the time zone that the times shall be said in.

    >>> forecast_sending(recipients=3_200_000, rate=200, left_24_hours=1_100_000, waits=False,
    ...     now=datetime(2026, 11, 24, 12, 33, 30))
    '3.2 M recipients, 1.1 M left today: pauses at about 14:05'
    """
    who = f"{_round(recipients)} recipient{'' if recipients == 1 else 's'}"
    if left_24_hours is None:
        return f"{who}: done {_when(recipients / rate, now)}"
    left = f"{_round(left_24_hours)} left today"
    if left_24_hours >= recipients:
        return f"{who}, {left}: done {_when(recipients / rate, now)}"
    end = "waits from" if waits else "pauses"
    return f"{who}, {left}: {end} {_when(left_24_hours / rate, now)}"


def _round(count: float) -> str:
    if count >= _MILLION:
        return f"{count / _MILLION:.1f} M"
    return f"{count / 1000:.0f} k" if count >= _THOUSAND else f"{count:,.0f}"


def _when(seconds: float, now: datetime) -> str:
    moment = now + timedelta(seconds=seconds)
    days = (moment.date() - now.date()).days
    return f"at about {moment:%H:%M}" if days == 0 else f"at about {moment:%Y-%m-%d %H:%M}"
