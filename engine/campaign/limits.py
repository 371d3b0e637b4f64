"""Sizes that a template may reach: no single step of it takes all memory or much time.

Jinja's sandbox keeps a template from Python's internals; it does not keep it from `9 ** 9 ** 9`. These guards stand at
the operators, calls and filters that make something large of something small. What grows in small steps is ended by the
watchdog and by the bound on a part's size.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from types import BuiltinMethodType
from typing import Any

from jinja2.exceptions import SecurityError

LARGEST_STRING = 10_000_000  # characters that one step may make
LARGEST_SEQUENCE = 100_000  # items
LARGEST_COUNT = 10_000  # a width, a number of repetitions or of items that an argument asks for
LARGEST_POWER_BITS = 4096
INTERCEPTED = frozenset({"**", "*", "+", "%"})
_WIDTH = re.compile(r"%[^a-zA-Z%]*(?:\d{5,}|\*)")
_STRING_METHODS_REFUSED = frozenset({"translate", "expandtabs", "format_map"})
# Filters that take a width or a count, or make text of all they are given.
_GUARDED_FILTERS = (
    "batch center filesizeformat format indent join replace round slice sum tojson truncate urlize wordwrap xmlattr"
)


def refuse_large(value: Any) -> Any:
    """Return a value, unless it is larger than a step may make.

    Raises:
        SecurityError: it is.
    """
    if isinstance(value, str):
        if len(value) > LARGEST_STRING:
            raise SecurityError(f"a text of {len(value):,} characters; {LARGEST_STRING:,} is the limit")
    elif isinstance(value, list | tuple) and len(value) > LARGEST_SEQUENCE:
        raise SecurityError(f"a list of {len(value):,} items; {LARGEST_SEQUENCE:,} is the limit")
    return value


def check_operation(operator: str, left: Any, right: Any) -> None:
    """Check an operation before it is done.

    Raises:
        SecurityError: its result would be too large.
    """
    match operator:
        case "**":
            _check_power(left, right)
        case "*":
            _check_product(left, right)
        case "%" if isinstance(left, str) and _WIDTH.search(left):
            raise SecurityError("a format with a width of 10,000 or more")


def _check_power(base: Any, exponent: Any) -> None:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > LARGEST_POWER_BITS:
        raise SecurityError(f"a power of more than {LARGEST_POWER_BITS} bits")


def _check_product(left: Any, right: Any) -> None:
    for value, times in ((left, right), (right, left)):
        if not isinstance(times, int):
            continue
        if isinstance(value, str) and len(value) * times > LARGEST_STRING:
            raise SecurityError(f"a text of {len(value) * times:,} characters; {LARGEST_STRING:,} is the limit")
        if isinstance(value, list | tuple) and len(value) * times > LARGEST_SEQUENCE:
            raise SecurityError(f"a list of {len(value) * times:,} items; {LARGEST_SEQUENCE:,} is the limit")
        if isinstance(value, int) and value.bit_length() + times.bit_length() > LARGEST_POWER_BITS:
            raise SecurityError(f"a number of more than {LARGEST_POWER_BITS} bits")


def check_call(called: Any, arguments: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Check a call of a string's own method before it is made.

    Raises:
        SecurityError: its result could be too large.
    """
    if not isinstance(called, BuiltinMethodType) or not isinstance(called.__self__, str):
        return
    name, text = called.__name__, called.__self__
    if name in _STRING_METHODS_REFUSED:
        raise SecurityError(f"the method {name} is not allowed in templates")
    _check_counts(name, (*arguments, *named.values()))
    if name in ("replace", "join"):
        _check_growth(name, text, arguments)


def _check_counts(name: str, values: Sequence[Any]) -> None:
    if any(isinstance(value, int) and abs(value) > LARGEST_COUNT for value in values):
        raise SecurityError(f"{name} with a number above {LARGEST_COUNT:,}")


def check_format(text: str) -> None:
    """Check the text of a str.format before its fields are filled in.

    Raises:
        SecurityError: a field could be made too wide.
    """
    if re.search(r"\{[^}]*(?:\d{5,}|:[^}]*\{)", text):
        raise SecurityError("a format with a width of 10,000 or more, or a width that is a value")


def _check_growth(name: str, text: str, arguments: Sequence[Any]) -> None:
    longest = max((len(value) for value in arguments if isinstance(value, str | list | tuple)), default=0)
    if (len(text) + 1) * longest > LARGEST_STRING:
        raise SecurityError(f"{name} would make a text of more than {LARGEST_STRING:,} characters")


def guard_filters(filters: dict[str, Callable[..., Any]]) -> None:
    """Put guards around the filters that could make something large."""
    for name in _GUARDED_FILTERS.split():
        filters[name] = _guarded(name, filters[name])


def _guarded(name: str, made: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(made)  # with Jinja's marks for what else it passes
    def guarded(*arguments: Any, **named: Any) -> Any:
        texts = [value for value in arguments if isinstance(value, str)]
        _check_counts(f"the filter {name}", [*arguments[1:], *named.values()] if name != "sum" else [])
        if name == "format" and any(_WIDTH.search(text) for text in texts[:1]):
            raise SecurityError("a format with a width of 10,000 or more")
        if name == "replace" and len(texts) >= 2:
            _check_growth("the filter replace", texts[0], texts[2:])
        if name == "join":
            _check_join(arguments)
        return refuse_large(made(*arguments, **named))

    return guarded


def _check_join(arguments: Sequence[Any]) -> None:
    separator = next((value for value in arguments[2:] if isinstance(value, str)), "")
    items = next((value for value in arguments[:2] if isinstance(value, list | tuple | range)), ())
    if len(items) * len(separator) > LARGEST_STRING:
        raise SecurityError(f"the filter join would make a text of more than {LARGEST_STRING:,} characters")
