"""When messages may be handed over: times of day in a time zone, and a moment after which nothing is sent. Pure."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from engine.campaign.spec import CampaignSpec
from engine.campaign.time_zones import find_zone

# A window may have begun yesterday; the next begins tomorrow or later, where a zone skips a part of a day or all of it.
_DAYS = range(-1, 5)
_SHORTEST = timedelta(seconds=1)


def find_moment(day: date, clock_time: time, zone: ZoneInfo) -> datetime:
    """Return the first moment of a day at which a wall clock shows a time or a later one.

    A time that is skipped when clocks go forward becomes the moment of the change: 02:30 becomes 03:00. One that occurs
    twice when they go back is the first of the two.
    """
    local = datetime.combine(day, clock_time, zone)
    moment = local.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return moment.astimezone(zone)
    before = local.replace(fold=1).astimezone(UTC)  # by the offset after the jump: that comes before it
    offset = before.astimezone(zone).utcoffset()
    while moment - before > _SHORTEST:
        middle = before + (moment - before) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            moment = middle
    return (before + _SHORTEST).replace(microsecond=0).astimezone(zone)


class Window(Struct, frozen=True):
    """A part of every day; it may pass midnight.

    Attributes:
        opens: time of day at which it begins.
        closes: time of day at which it ends.
    """

    opens: time
    closes: time

    def find_span(self, now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """Return begin and end of the window that is open at a moment, or of the next one.

        find_moment describes both where clocks change. A window that lies in the skipped hour is left out on that
        day.
        """
        now = now.astimezone(UTC)  # two times of one zone would be compared without their offsets
        today = now.astimezone(zone).date()
        spans = (self._span_of(today + timedelta(days=days), zone) for days in _DAYS)
        return next((begin, end) for begin, end in spans if now < end and begin.astimezone(UTC) < end)

    def _span_of(self, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
        last = day if self.opens < self.closes else day + timedelta(days=1)
        return find_moment(day, self.opens, zone), find_moment(last, self.closes, zone)

    def seconds_closed(self, now: datetime, zone: ZoneInfo) -> float:
        """Return how long it stays closed; 0.0 while it is open."""
        opens, _ = self.find_span(now, zone)
        return max(0.0, (opens - now.astimezone(UTC)).total_seconds())


def parse_window(opens: str | None, closes: str | None) -> Window | None:
    """Read `from` and `to` of `[window]`, as they were checked; None where there is no window."""
    if opens is None or closes is None:
        return None
    return Window(time.fromisoformat(opens), time.fromisoformat(closes))


def find_deadline(spec: CampaignSpec, *, planned_at: datetime, now: datetime) -> datetime | None:
    """Return the moment after which nothing is sent.

    A time of day is that of the day on which the run is planned: mail for today is not sent tomorrow. While
    a domain warms up a run takes days, and it is the time on the day of each launch. In a window that passes midnight
    the time is the first one after its opening.

    Args:
        spec: the campaign's, with `[window] not_after`: a moment or a time of day.
        planned_at: when the run was or is planned.
        now: of this launch.
    """
    not_after, zone = spec.window.not_after, spec.window.zone
    if not_after is None:
        return None
    if len(not_after) > len("00:00"):
        return datetime.fromisoformat(not_after)
    begun, clock_time = planned_at if spec.warmup is None else now, time.fromisoformat(not_after)
    day, window = begun.astimezone(zone).date(), parse_window(spec.window.opens, spec.window.closes)
    if window is not None and window.opens > window.closes:
        opens = window.find_span(begun, zone)[0].astimezone(zone)
        day = opens.date() if clock_time > window.opens else opens.date() + timedelta(days=1)
    return find_moment(day, clock_time, zone)


class ZonedWindows(Struct):
    """The window in each recipient's own time zone, computed once for each zone and opening.

    Attributes:
        window: of every day.
    """

    window: Window
    _spans: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)

    def seconds_closed(self, zone_name: str, now: datetime) -> float:
        """Return how long the window stays closed in a zone; 0.0 for an unknown zone."""
        span = self._find_span(zone_name, now)
        return 0.0 if span is None else max(0.0, (span[0] - now).total_seconds())

    def find_close(self, zone_name: str, now: datetime) -> datetime | None:
        """Return when the window that is open in a zone, or the next one, closes; None for an unknown zone."""
        span = self._find_span(zone_name, now)
        return None if span is None else span[1]

    def _find_span(self, zone_name: str, now: datetime) -> tuple[datetime, datetime] | None:
        span = self._spans.get(zone_name)
        if span is None or now >= span[1]:
            zone = find_zone(zone_name)
            if zone is None:
                return None
            span = self._spans[zone_name] = self.window.find_span(now, zone)
        return span
