"""Number formats of spreadsheets that show more digits than a number has: 00000 makes 1234 the postal code 01234."""

import operator
import re
from collections.abc import Callable
from functools import cache

_SECTION = re.compile(r'((?:"[^"]*"|\\.|\[[^\]]*\]|[^;"\\\[])*)(?:;|$)')
_PART = re.compile(r'\[([^\]]*)\]|"([^"]*)"|\\(.)|[_*].|(0)|([-+ ():!^&\'~{}<>=\u00a0])|(.)')
_CONDITION = re.compile(r"(<=|>=|<>|<|>|=)\s*(-?\d+(?:\.\d+)?)")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<>": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_DIGIT = "0"
_LEAST_DIGITS = 2
_Condition = Callable[[float], bool]


@cache
def _read_format(code: str) -> tuple[tuple[_Condition, tuple[str, ...] | None], ...]:
    """Return the sections of a format: its condition, digits and literals; None for a section without leading zeros."""
    return tuple(_read_section(section) for section in _SECTION.findall(code)[:2] if section)


def _read_section(section: str) -> tuple[_Condition, tuple[str, ...] | None]:
    parts: list[str] = []
    compare, limit = _COMPARE[">="], 0.0  # if the section has no condition
    is_plain = True
    for bracket, quoted, escaped, digit, literal, other in _PART.findall(section):
        if condition := _CONDITION.fullmatch(bracket.strip()):
            compare, limit = _COMPARE[condition[1]], float(condition[2])
        parts += [part for part in (digit, quoted or escaped or literal) if part]
        is_plain &= not other
    digits = parts.count(_DIGIT)
    return lambda value: bool(compare(value, limit)), tuple(parts) if is_plain and digits >= _LEAST_DIGITS else None


def pads(code: str) -> bool:
    """Whether a format shows leading zeros of whole numbers.

    >>> [pads(code) for code in ("00000", "000-00-0000", "0", "#,##0", "0.00", "yyyy-mm-dd", "General")]
    [True, True, False, False, False, False, False]
    """
    return any(parts for _, parts in _read_format(code))


def pad(code: str, value: float) -> str | None:
    """Format a number; None if the format adds no zeros, or the number is not an integer.

    >>> pad("00000", 1234), pad("[<=99999]00000;00000-0000", 123456789), pad("000-00-0000", 12345678), pad("0", 7)
    ('01234', '12345-6789', '012-34-5678', None)
    """
    if value < 0 or value != int(value):
        return None
    parts = next((parts for holds, parts in _read_format(code) if holds(value)), None)
    if parts is None:
        return None
    wanted = parts.count(_DIGIT)
    digits = str(int(value)).zfill(wanted)
    shown = [digits[: len(digits) - wanted + 1], *digits[len(digits) - wanted + 1 :]]
    return "".join(shown.pop(0) if part == _DIGIT else part for part in parts)
