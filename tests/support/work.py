"""Measure how the work of a call grows with its input: lines of Python, and CPU time where C does the work."""

import gc
import re
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

LIMIT = 2.5  # twice the input may take so many times the work
_DOUBLINGS = 3  # of CPU time: over eight times the input a square (64 times) and a limit of 15.6 are far apart
_ATTEMPTS = 6


def count_lines(call: Callable[[], object]) -> int:
    """Count the lines of Python that a call runs through, those of libraries too."""
    lines = 0

    def trace(_: FrameType, event: str, __: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    gc.disable()  # the garbage collector calls functions of libraries and of freed objects
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
        gc.enable()
    return lines


def _cpu(call: Callable[[], object]) -> int:
    gc.disable()  # it visits objects of other tests
    try:
        before = time.thread_time_ns()
        call()
        return time.thread_time_ns() - before
    finally:
        gc.enable()


_LINES_OF_OTHERS = 50  # of what the interpreter runs in between, such as finalizers; of no size that is counted here


def find_excess(read: Callable[[Any], object], make: Callable[[int], Any], lines_at: int, bytes_at: int) -> str | None:
    """Describe how the work of `read` grows faster than `LIMIT` with the input of `make`; None if it does not.

    Args:
        read: what is measured.
        make: makes an input of a size.
        lines_at: the smaller size for counting lines.
        bytes_at: the smallest size for CPU time, which is compared over three doublings. Other processes slow down one
            moment more than another, so both sizes are measured within one moment, and an excess is measured again.
    """
    small, large = (make(size) for size in (lines_at, 2 * lines_at))
    read(small)  # lazy initialisation happens now
    lines = count_lines(lambda: read(small)), count_lines(lambda: read(large))
    if lines[1] > LIMIT * lines[0] + _LINES_OF_OTHERS:
        return f"{lines[0]} lines for {lines_at}, {lines[1]} for twice that"
    small, large = (make(size) for size in (bytes_at, 2**_DOUBLINGS * bytes_at))
    for _ in range(_ATTEMPTS):
        took = min(_cpu(lambda: read(small)) for _ in range(3)), _cpu(lambda: read(large))
        if took[1] <= LIMIT**_DOUBLINGS * took[0]:
            return None
    return f"{took[0]} ns of CPU for {bytes_at}, {took[1]} for {2**_DOUBLINGS} times that"


# What regular expressions are made of, as the compiler sees them: the only description of what a pattern can match.
_PARSER: Any = re._parser  # type: ignore[attr-defined]
_ANY = frozenset(range(0x180))
_ZERO_WIDTH = ("AT", "ASSERT", "ASSERT_NOT")


def find_ambiguity(pattern: str | bytes, flags: int = 0, *, is_anchored: bool = False) -> str | None:
    """Return why a pattern may take more than linear time; None where it cannot, by construction.

    It cannot where every repetition ends at a character that it does not contain itself, so that nothing is ever tried
    a second time, and where every long repetition comes after a character that it does not contain either, so that what
    two attempts of a search read does not overlap. A pattern that is anchored has one attempt.
    """
    try:
        items = list(_PARSER.parse(pattern, flags))
        _check(items, frozenset(), is_end=True)
        if not is_anchored:
            _check_starts(items, [], is_alone=len(items) == 1)
    except ValueError as error:
        return str(error)
    return None


def _check(items: list[Any], follow: frozenset[int], *, is_end: bool) -> None:
    for number, (kind, value) in enumerate(items):
        rest = items[number + 1 :]
        after = _first(rest, follow)
        ends = is_end and all(_is_optional(item) for item in rest)
        match str(kind):
            case "LITERAL" | "NOT_LITERAL" | "IN" | "ANY" | "AT":
                continue
            case "SUBPATTERN":
                _check(list(value[3]), after, is_end=ends)
            case "BRANCH":
                firsts = [_first(list(branch), after) for branch in value[1]]
                if sum(map(len, firsts)) > len(frozenset().union(*firsts)):
                    raise ValueError("two branches begin with the same character")
                for branch in value[1]:
                    _check(list(branch), after, is_end=ends)
            case "ASSERT":
                _check(list(value[1]), after, is_end=True)
            case "MAX_REPEAT":
                least, most, inner = value
                first = _first(list(inner), frozenset())
                if least != most and first & after:
                    raise ValueError("a repetition contains the character that ends it")
                _check(list(inner), after | (first if most > 1 else frozenset()), is_end=ends and most == 1)
            case other:
                raise ValueError(f"{other} is not supported by this check")


def _check_starts(items: list[Any], before: list[frozenset[int]], *, is_alone: bool) -> None:
    """Check what may be repeated more than a hundred times; `before` has what each character before it may be."""
    for kind, value in items:
        match str(kind):
            case "SUBPATTERN" | "ASSERT":
                _check_starts(list(value[3 if str(kind) == "SUBPATTERN" else 1]), before, is_alone=is_alone)
            case "BRANCH":
                for branch in value[1]:
                    _check_starts(list(branch), [*before], is_alone=False)
            case "MAX_REPEAT":
                inside = _characters_of(list(value[2]))
                if value[1] > 100 and not is_alone and all(one & inside for one in before):
                    raise ValueError("what two attempts of a search read may overlap")
            case name if name not in _ZERO_WIDTH:
                before.append(_characters(name, value))


def _characters_of(items: list[Any]) -> frozenset[int]:
    """Return all characters that items may contain."""
    found: frozenset[int] = frozenset()
    for kind, value in items:
        match str(kind):
            case "SUBPATTERN":
                found |= _characters_of(list(value[3]))
            case "MAX_REPEAT":
                found |= _characters_of(list(value[2]))
            case "BRANCH":
                found |= frozenset().union(*(_characters_of(list(branch)) for branch in value[1]))
            case name if name not in _ZERO_WIDTH:
                found |= _characters(name, value)
    return found


def _is_optional(item: Any) -> bool:
    kind, value = item
    return str(kind) in _ZERO_WIDTH or (str(kind) == "MAX_REPEAT" and value[0] == 0)


def _first(items: list[Any], follow: frozenset[int]) -> frozenset[int]:
    """Return the characters that items may begin with."""
    found: frozenset[int] = frozenset()
    for number, item in enumerate(items):
        kind, value = str(item[0]), item[1]
        if kind == "SUBPATTERN":
            return found | _first([*value[3], *items[number + 1 :]], follow)
        if kind == "BRANCH":
            rest = items[number + 1 :]
            return found.union(*(_first([*branch, *rest], follow) for branch in value[1]))
        if kind == "MAX_REPEAT":
            found |= _first(list(value[2]), frozenset())
        elif kind not in _ZERO_WIDTH:
            found |= _characters(kind, value)
        if not _is_optional(item):
            return found
    return found | follow


def _characters(kind: str, value: Any) -> frozenset[int]:
    match kind:
        case "LITERAL":
            return frozenset({value})
        case "NOT_LITERAL":
            return _ANY - {value}
        case "IN":
            listed: frozenset[int] = frozenset()
            for name, one in value:
                match str(name):
                    case "LITERAL":
                        listed |= {one}
                    case "RANGE":
                        listed |= frozenset(range(one[0], one[1] + 1))
                    case "CATEGORY":
                        listed |= _ANY  # more than it is, which is strict
            return _ANY - listed if str(value[0][0]) == "NEGATE" else listed
        case _:
            return _ANY
