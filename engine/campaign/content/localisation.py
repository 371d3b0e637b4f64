"""Languages and locales: language tags, the direction of text, and the formats of dates and numbers."""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import babel.dates
import babel.numbers
from babel import Locale
from jinja2 import pass_context
from jinja2.runtime import Context

from engine.campaign.locales import DEFAULT_LOCALE, parse_locale, read_locales
from engine.campaign.time_zones import find_zone

_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")
_MOST_REMEMBERED = 8192  # formatted values that are cached: dates and small numbers repeat
_TIME_OF_DAY = re.compile(r"\d\d:\d\d(?::\d\d)?")
_LENGTHS = ("short", "medium", "long", "full")


def normalise_tag(tag: str) -> str | None:
    """Return a language tag (BCP 47) in lower case with hyphens; None for other text.

    >>> [normalise_tag(tag) for tag in ("vi_VN", "zh-Hant-TW", "", "??")]
    ['vi-vn', 'zh-hant-tw', None, None]
    """
    tag = tag.strip()
    return tag.replace("_", "-").lower() if _TAG.fullmatch(tag) else None


def is_right_to_left(tag: str | None) -> bool:
    """Return whether a language is written from right to left."""
    tags = read_locales(tag) if tag else ()
    locale = parse_locale(str(tags[0])) if tags else None
    return locale is not None and locale.character_order == "right-to-left"


class UnreadableTextError(ValueError):
    """A column has text that is not a date or a number.

    The message quotes the text only if the campaign sets a format: then only some rows are wrong. Otherwise the whole
    column is wrong, and all its rows are reported as one failure.
    """


class _UnreadableError(ValueError):
    """A text is not a date or not a number.

    Args:
        what: the message, with the text.
        words: the same without the text.
        kind: the expected kind of value.
        key: the setting in `[audience]` for its format; None if there is no setting.
    """

    def __init__(self, what: str, words: str, kind: str, key: str | None = None) -> None:
        super().__init__(what)
        self.words, self.kind, self.key = words, kind, key


_NO_DATE = 'not a date such as 2026-11-24; set its format with date_format = "dd.mm.yyyy" in [audience]'
_NO_TIME = "not a time such as 09:30 or 2026-11-24T09:30:00Z"
_NO_NUMBER = 'not a number such as 1234.5; set its format with decimal = "," in [audience]'


Written = str | Mapping[str, str] | None


class Formats:
    """Filters that format dates, numbers and currency for the recipient's locale, or for the argument `locale`.

    Values of a CSV audience are text: dates are read as ISO 8601, numbers as JSON writes them.

    Args:
        default: the locale of recipients without one.
        written: `date_format` and `decimal`, as `[audience]` has them.

    Attributes:
        locale: of the recipient whose message is being made.
        columns: of that recipient.
    """

    def __init__(self, default: str = DEFAULT_LOCALE, written: Mapping[str, Written] | None = None) -> None:
        self._written = written or {}
        tags = read_locales(default)
        self.default = (parse_locale(str(tags[0])) if tags else None) or Locale(DEFAULT_LOCALE)
        self.locale = self.default
        self.columns: Mapping[str, Any] = {}
        self._remembered = lru_cache(maxsize=_MOST_REMEMBERED, typed=True)(self._format)

    def filters(self) -> Mapping[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {name: self._make_filter(method) for name, method in FILTERS.items()}

    def _make_filter(self, method: str) -> Callable[..., str]:
        @pass_context  # keeps Jinja from evaluating it at compile time, when no recipient's locale is known
        def filtered(_: Context, *arguments: Any, **named: Any) -> str:
            try:
                return self._remembered(method, self.locale, *arguments, **named)
            except _UnreadableError as error:
                column = next((name for name, value in self.columns.items() if value is arguments[0]), None)
                if column is None:
                    raise ValueError(*error.args[:1]) from None
                raise UnreadableTextError(self._describe_unreadable(column, arguments[0], error)) from None

        return filtered

    def _describe_unreadable(self, column: str, value: object, error: _UnreadableError) -> str:
        setting = self._written.get(error.key) if error.key else None
        written = setting.get(column) if isinstance(setting, Mapping) else setting
        if written is None:
            return f"{column} is {error.words}"
        shown = _cut(str(value).strip())
        what = f'{column} is "{shown}", which is not a {error.kind} written with {error.key} = "{written}"'
        return f"{what}; correct it in the audience"

    def _format(self, method: str, _: Locale, *arguments: Any, **named: Any) -> str:
        """Format a value; the locale is an argument so that it is part of the cache's key."""
        return str(getattr(self, method)(*arguments, **named))

    def _choose(self, tag: str | None) -> Locale:
        if tag is None:
            return self.locale
        found = read_locales(str(tag))
        locale = parse_locale(str(found[0])) if found else None
        if locale is None:
            raise ValueError(f"{_shorten(str(tag))} is not a known locale")
        return locale

    def format_date(self, value: Any, form: str = "medium", locale: str | None = None) -> str:
        """`{{ signed_up|date("long") }}`: short, medium, long, full, or a CLDR pattern or skeleton."""
        moment = _read_moment(value)
        day = moment.date() if isinstance(moment, datetime) else moment
        if form not in _LENGTHS and form.isalpha():
            return babel.dates.format_skeleton(form, datetime.combine(day, time()), locale=self._choose(locale))
        return babel.dates.format_date(day, form, locale=self._choose(locale))

    def format_datetime(
        self, value: Any, form: str = "medium", tz: str | None = None, locale: str | None = None
    ) -> str:
        """`{{ starts_at|datetime("short", tz="Asia/Ho_Chi_Minh") }}`; a time without zone is UTC."""
        moment = _as_datetime(_read_moment(value))
        zone = _read_zone(tz) if tz else None
        return babel.dates.format_datetime(moment, form, tzinfo=zone, locale=self._choose(locale))

    def format_time(self, value: Any, form: str = "short", tz: str | None = None, locale: str | None = None) -> str:
        """`{{ starts_at|time }}`."""
        moment = _read_time(value)
        zone = _read_zone(tz) if tz else None
        return babel.dates.format_time(moment, form, tzinfo=zone, locale=self._choose(locale))

    def format_number(self, value: Any, form: str | None = None, locale: str | None = None) -> str:
        """`{{ points|number }}`, or with a CLDR pattern such as `"#,##0.00"`."""
        return babel.numbers.format_decimal(_read_number(value), form, locale=self._choose(locale))

    def format_percent(self, value: Any, form: str | None = None, locale: str | None = None) -> str:
        """`{{ 0.25|percent }}` is 25 %."""
        return babel.numbers.format_percent(_read_number(value), form, locale=self._choose(locale))

    def format_currency(self, value: Any, currency: str, form: str | None = None, locale: str | None = None) -> str:
        """`{{ price|currency("EUR") }}`; the code is ISO 4217's.

        Raises:
            ValueError: the currency is not such a code.
        """
        if not babel.numbers.is_currency(currency):
            raise ValueError(f"{currency} is not an ISO 4217 currency code")
        return babel.numbers.format_currency(_read_number(value), currency, form, locale=self._choose(locale))


FILTERS: Mapping[str, str] = {
    "date": "format_date",
    "datetime": "format_datetime",
    "time": "format_time",
    "number": "format_number",
    "percent": "format_percent",
    "currency": "format_currency",
}


def _read_moment(value: Any) -> date | datetime:
    if isinstance(value, date):
        return value
    text = str(value).strip()
    try:
        return date.fromisoformat(text) if len(text) <= 10 else datetime.fromisoformat(text)
    except ValueError:
        what = f"{_shorten(text)} is not a date; write it as 2026-11-24 or 2026-11-24T09:00:00Z"
        raise _UnreadableError(what, _NO_DATE, "date", "date_format") from None


def _read_time(value: Any) -> time | datetime:
    """Read a time of day, as a workbook may have it, or the time of a date and time."""
    if isinstance(value, time):
        return value
    text = str(value).strip()
    if isinstance(value, str) and _TIME_OF_DAY.fullmatch(text):
        try:
            return time.fromisoformat(text)
        except ValueError:
            raise _UnreadableError(f"{_shorten(text)} is not a time", _NO_TIME, "time") from None
    return _as_datetime(_read_moment(value))


def _as_datetime(moment: date | datetime) -> datetime:
    return moment if isinstance(moment, datetime) else datetime.combine(moment, time())


def _read_zone(name: str) -> ZoneInfo:
    zone = find_zone(name)
    if zone is None:
        raise ValueError(f"{_shorten(str(name))} is not a time zone; write an IANA name such as Europe/Berlin")
    return zone


def _read_number(value: Any) -> Decimal:
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise _UnreadableError(f"{_shorten(str(value))} is not a number", _NO_NUMBER, "number", "decimal") from None
    if not number.is_finite() or abs(number.adjusted()) > 100:
        raise ValueError(f"{_shorten(str(value))} is not a number that can be printed")
    return number


def _shorten(text: str) -> str:
    return repr(_cut(text))


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
