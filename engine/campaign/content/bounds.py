"""Limits on what a template may make: no single step may use all memory or much time.

Jinja's sandbox protects Python's internals, but allows `9 ** 9 ** 9`. These guards check the operators, calls, literals
and filters that make something large from something small. Growth in small steps is stopped by the watchdog, by the
limit on a part's size, and by the limit on everything that the steps of a message make together.

A list counts with its written-out size: a list that contains the same list twice counts it twice. Otherwise one call
into C could compare two such lists forever.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from types import BuiltinMethodType
from typing import Any

from jinja2.exceptions import SecurityError

LARGEST_STRING = 10_000_000  # characters that one step may make
LARGEST_SEQUENCE = 100_000  # items
LARGEST_COUNT = 10_000  # a width, or a number of repetitions or items, in an argument
LARGEST_POWER_BITS = 4096
LARGEST_SUM = 100_000_000  # characters and items that all steps of one message may make
INTERCEPTED = frozenset({"**", "*", "+", "%"})
_WIDTH = re.compile(r"%(?:\([^)]*\))?[^a-zA-Z%(]*(?:\d{5,}|\*)")
_WIDTHS = re.compile(r"%(?:\([^)]*\))?[-+ #0]*(\d{0,4})(?:\.(\d{0,4}))?")
_FIELD_WIDTH = re.compile(r"\{[^{}]*(?:\d{5,}|:[^{}]*\{)")
_FIELD_WIDTHS = re.compile(r"(\d{1,4})[^{}\d]*\}")
_STRING_METHODS_REFUSED = frozenset({"translate", "expandtabs", "format_map"})
# Filters with a width or a count, and filters that convert all their input to text.
_GUARDED_FILTERS = (
    "batch center dictsort e escape filesizeformat forceescape format groupby indent join list replace reverse round"
    " slice sort sum tojson truncate urlencode urlize wordwrap xmlattr"
)
_TEXTS = (str, bytes)


class StepSizes:
    """The total size of what the steps of the current message have made: characters and items."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0


made = StepSizes()  # anyone who begins a message sets its total to 0


def refuse_large(value: Any) -> Any:
    """Return a value, unless it is larger than a step may make, or all steps of the message make too much.

    Raises:
        SecurityError: it is.
    """
    if isinstance(value, _TEXTS):
        if len(value) > LARGEST_STRING:
            raise SecurityError(f"a text of {len(value):,} characters; {LARGEST_STRING:,} is the limit")
        made.total += len(value)
    elif isinstance(value, list | tuple | dict):
        made.total += sum(weigh(value))
    else:
        return value
    if made.total > LARGEST_SUM:
        raise SecurityError(f"more than {LARGEST_SUM:,} characters and items in all steps of one message")
    return value


def weigh(value: Any, times: int = 1) -> tuple[int, int]:
    """Count the items and characters of a list, tuple or dictionary, written out, so many times.

    Raises:
        SecurityError: there are more than a step may make.
    """
    try:
        items, characters = _weigh(value, {})
    except RecursionError:
        raise SecurityError("a list inside more than a thousand others") from None
    _refuse_weight(items * times, characters * times)
    return items * times, characters * times


def _weigh(value: Any, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Count the content of a list, tuple or dictionary; one that occurs twice is counted twice, but read once."""
    _refuse_weight(len(value), 0)
    items, characters = len(value), 0
    for part in [*value, *value.values()] if isinstance(value, dict) else value:
        if isinstance(part, _TEXTS):
            characters += len(part)
        elif isinstance(part, list | tuple | dict):
            if id(part) not in known:
                known[id(part)] = _weigh(part, known)
            items += known[id(part)][0]
            characters += known[id(part)][1]
    return items, characters


def _refuse_weight(items: int, characters: int) -> None:
    if items > LARGEST_SEQUENCE:
        raise SecurityError(f"a list of {items:,} items or more; {LARGEST_SEQUENCE:,} is the limit")
    if characters > LARGEST_STRING:
        raise SecurityError(f"a list with texts of {characters:,} characters; {LARGEST_STRING:,} is the limit")


def join_bounded(pieces: Iterable[str]) -> str:
    """Join the pieces of a macro or block, unless they are too large together.

    Raises:
        SecurityError: they are.
    """
    known = pieces if isinstance(pieces, list) else list(pieces)
    refuse_long_sum(known)
    return "".join(known)


def refuse_long_sum(pieces: Iterable[Any]) -> None:
    """Check texts before they are joined.

    Raises:
        SecurityError: together they are longer than a text may be.
    """
    length = sum(len(piece) for piece in pieces if isinstance(piece, _TEXTS))
    if length > LARGEST_STRING:
        raise SecurityError(f"a text of {length:,} characters; {LARGEST_STRING:,} is the limit")


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
        case "%" if isinstance(left, _TEXTS):
            _check_widths(left if isinstance(left, str) else left.decode("latin-1"))


def _check_power(base: Any, exponent: Any) -> None:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > LARGEST_POWER_BITS:
        raise SecurityError(f"a power of more than {LARGEST_POWER_BITS} bits")


def _check_product(left: Any, right: Any) -> None:
    for value, times in ((left, right), (right, left)):
        if not isinstance(times, int):
            continue
        if isinstance(value, _TEXTS) and len(value) * times > LARGEST_STRING:
            raise SecurityError(f"a text of {len(value) * times:,} characters; {LARGEST_STRING:,} is the limit")
        if isinstance(value, list | tuple):
            weigh(value, times)
        if isinstance(value, int) and value.bit_length() + times.bit_length() > LARGEST_POWER_BITS:
            raise SecurityError(f"a number of more than {LARGEST_POWER_BITS} bits")


def check_call(called: Any, arguments: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Check a call of a method of a text or a number before it is made.

    Raises:
        SecurityError: its result could be too large.
    """
    if not isinstance(called, BuiltinMethodType) or not isinstance(called.__self__, str | bytes | int | float):
        return
    name, owner = called.__name__, called.__self__
    if name in _STRING_METHODS_REFUSED:
        raise SecurityError(f"the method {name} is not allowed in templates")
    _check_counts(name, (*arguments, *named.values()))
    if name in ("replace", "join") and isinstance(owner, _TEXTS):
        _check_growth(name, owner, arguments)
        for joined in arguments[:1]:
            if name == "join" and isinstance(joined, list | tuple | dict):
                weigh(joined)


def _check_counts(name: str, values: Sequence[Any]) -> None:
    if any(isinstance(value, int) and abs(value) > LARGEST_COUNT for value in values):
        raise SecurityError(f"{name} with a number above {LARGEST_COUNT:,}")


def check_format(text: str) -> None:
    """Check the text of a str.format before its fields are filled in.

    Raises:
        SecurityError: a field could be made too wide.
    """
    if _FIELD_WIDTH.search(text):
        raise SecurityError("a format with a width of 10,000 or more, or a width that is a value")
    _refuse_widths(sum(map(int, _FIELD_WIDTHS.findall(text))))


def _check_widths(text: str) -> None:
    """Check a `%` format: each width, and all together."""
    if _WIDTH.search(text):
        raise SecurityError("a format with a width of 10,000 or more")
    _refuse_widths(sum(int(width) for pair in _WIDTHS.findall(text) for width in pair if width))


def _refuse_widths(length: int) -> None:
    if length > LARGEST_STRING:
        raise SecurityError(f"a text of {length:,} characters; {LARGEST_STRING:,} is the limit")


def _check_growth(name: str, text: str | bytes, arguments: Sequence[Any]) -> None:
    longest = max((len(value) for value in arguments if isinstance(value, str | bytes | list | tuple)), default=0)
    if (len(text) + 1) * longest > LARGEST_STRING:
        raise SecurityError(f"{name} would make a text of more than {LARGEST_STRING:,} characters")


def guard_filters(filters: dict[str, Callable[..., Any]]) -> None:
    """Add size checks to the filters that could make something large."""
    for name in _GUARDED_FILTERS.split():
        filters[name] = _guarded(name, filters[name])


def _guarded(name: str, made: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(made)  # keep Jinja's marks for the additional arguments
    def guarded(*arguments: Any, **named: Any) -> Any:
        texts = [value for value in arguments if isinstance(value, str)]
        if name != "sum":
            _check_counts(f"the filter {name}", [*arguments[1:], *named.values()])
        if name == "format":
            for text in texts[:1]:
                _check_widths(text)
        if name == "indent":
            _check_indent(texts, [*arguments[1:], *named.values()])
        if name == "sum":
            _check_sum(arguments[1:2])
        if name == "replace" and len(texts) >= 2:
            _check_growth("the filter replace", texts[0], texts[2:])
        if name == "join":
            _check_join(arguments)
        return refuse_large(made(*arguments, **named))

    return guarded


def _check_indent(texts: Sequence[str], given: Sequence[Any]) -> None:
    """Check an indent by a number of spaces, or by a text."""
    width = max((one if isinstance(one, int) else len(one) for one in given if isinstance(one, int | str)), default=4)
    for text in texts[:1]:
        _refuse_widths(len(text) + width * (text.count("\n") + 1))


def _check_sum(arguments: Sequence[Any]) -> None:
    """Check a sum of lists, which are joined one by one."""
    for items in arguments:
        if isinstance(items, list | tuple):
            weigh(items)


def _check_join(arguments: Sequence[Any]) -> None:
    separator = next((value for value in arguments[2:] if isinstance(value, str)), "")
    items = next((value for value in arguments[:2] if isinstance(value, list | tuple | range)), ())
    if len(items) * len(separator) > LARGEST_STRING:
        raise SecurityError(f"the filter join would make a text of more than {LARGEST_STRING:,} characters")


def list_iterators(arguments: Sequence[Any]) -> tuple[Any, ...]:
    """Return the arguments with iterators converted to lists, so that their size is known."""
    return tuple(list(one) if isinstance(one, Iterator) else one for one in arguments)
