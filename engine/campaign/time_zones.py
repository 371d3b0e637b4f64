"""Time zones by the names that audiences use."""

from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from babel.core import get_global

_EXCLUDED_ZONES = frozenset({"Factory", "localtime", "posixrules"})  # the zone of the machine, and an unset zone


@cache
def _listed() -> Mapping[str, str]:
    """Return IANA's names by their lower case, without a look at the 600 files of the system's zones."""
    names = (files("tzdata") / "zones").read_text(encoding="ascii").split()
    return {name.casefold(): name for name in names if name not in _EXCLUDED_ZONES}


@cache
def _names() -> Mapping[str, str]:
    """Return IANA's name for every name, in lower case: IANA's own, and those of Windows (CLDR's windowsZones)."""
    iana = {name.casefold(): name for name in sorted(available_timezones() - _EXCLUDED_ZONES)}
    windows = {name.casefold(): zone for name, zone in get_global("windows_zone_mapping").items()}
    return {**windows, **iana}


def find_zone_name(name: str | None) -> str | None:
    """Return IANA's name of a time zone; None when there is no such time zone.

    Case does not matter, nor do spaces around a name or instead of its underscores.

    >>> [find_zone_name(name) for name in (" asia/tokyo", "America/New York", "W. Europe Standard Time", "UTC+2")]
    ['Asia/Tokyo', 'America/New_York', 'Europe/Berlin', None]
    """
    words = name.split() if name else []
    joined = " ".join(words).casefold()
    return _listed().get(joined) or _names().get(joined) or _names().get("_".join(words).casefold())


def find_zone(name: object) -> ZoneInfo | None:
    """Return the time zone that an audience names; None when there is no such time zone."""
    return _find_zone(name if isinstance(name, str) else None)


@lru_cache(maxsize=1024)
def _find_zone(name: str | None) -> ZoneInfo | None:
    known = find_zone_name(name)
    try:
        return ZoneInfo(known) if known else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
