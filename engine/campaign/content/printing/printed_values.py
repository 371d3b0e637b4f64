"""Values that may be printed into a message: text, numbers, dates and markup. All others are errors with a remedy.

Data comes before methods: `order.copy` is the field `copy` of the data; a method is found only when it is called.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Context, Decimal
from typing import Any

import markupsafe
from jinja2 import StrictUndefined, Undefined, pass_eval_context
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.nodes import EvalContext
from jinja2.utils import missing
from markupsafe import Markup, escape

from engine.campaign.content import bounds as limits
from engine.campaign.content.localisation import FILTERS
from engine.campaign.content.printing.links import refuse_attribute

_PLAIN = frozenset({str, Markup, int, bool, date, datetime, time, timedelta})
_SCALARS = (str, int, Decimal, date, time, timedelta)
_DATA = (*_SCALARS, float, bytes, dict, list, tuple, set, type(None))
_NAMED = re.compile(r"%\((.*?)\)")
# What `escape` does for a str, without an object of Markup around the text.
_escape: Callable[[str], str] = getattr(markupsafe, "_escape_inner", escape)
_DEEPEST = 20
_MOST_DIGITS = 400  # digits of a decimal number that is written out; a float has at most 309 before its point
_MOST_FIELDS = 10  # names that a message lists


class NullValueError(Exception):
    """A null value was about to be put into a message."""


class UnprintableError(Exception):
    """Something that is not text, a number, a date or markup was about to be put into a message."""


class UndefinedName(StrictUndefined):
    """Any use of an undefined name is an error with a message for the author."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        if self._undefined_obj is missing:
            return f"{self._undefined_name} is not defined"
        if self._undefined_obj is None:
            return f"a null has no {self._undefined_name}; test it with {{% if %}} first"
        if isinstance(self._undefined_obj, dict):
            there = ", ".join(map(str, list(self._undefined_obj)[:_MOST_FIELDS]))
            return f"there is no field {self._undefined_name}; available: {there}"
        owner = type(self._undefined_obj).__name__.strip("_").lower()
        return f"{owner} has no {self._undefined_name}"


class MethodName(UndefinedName):
    """A method that is not called: a name that the data does not have."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        name = str(self._undefined_name)
        return f"{name} is a function; write {_replace_method('…', name)}"

    def describe(self, label: str) -> str:
        """Return the message for the whole expression: what to write instead."""
        name = str(self._undefined_name)
        owner = label.removesuffix(f".{name}").removesuffix(f"[{name!r}]")
        if owner == label:
            return self._undefined_message
        return f"{label} is a function; write {_replace_method(owner, name)}"


def _replace_method(owner: str, name: str) -> str:
    return f"{owner}|{name}" if name in JINJA_FILTERS or name in FILTERS else f"{owner}.{name}(…) to call it"


def hide_method(owner: Any, name: str, value: Any) -> Any:
    """Return an attribute of a value, or MethodName if it is a method of the audience's data."""
    if callable(value) and isinstance(owner, _DATA) and not isinstance(value, Undefined):
        return MethodName(obj=owner, name=name)
    return value


class WrittenFloat(float):
    """A float that prints as people write numbers: 1200 and not 1200.0, all digits and not 1e+16."""

    __slots__ = ()

    def __str__(self) -> str:
        text = repr(float(self) + 0.0)  # -0.0 is 0
        return (f"{Decimal(text):f}" if "e" in text else text).removesuffix(".0")


class WrittenDecimal(Decimal):
    """A decimal number that prints without exponent: 0.00000000 and not 0E-8."""

    __slots__ = ()

    def __str__(self) -> str:
        return super().__format__("f")

    def __format__(self, spec: str, _: Context | None = None, /) -> str:
        return super().__format__(spec or "f")


def refuse_null(value: Any, label: str) -> Any:
    """Return a value that is not None.

    Raises:
        NullValueError: naming the expression.
    """
    if value is None:
        raise NullValueError(f"{label} is null; test it with {{% if %}}, or give it a value in [audience] defaults")
    return value


def refuse_unprintable(value: Any, label: str) -> Any:
    """Return a value that may be printed.

    Raises:
        NullValueError: it is None.
        UnprintableError: it is not text, a number, a date or markup; naming the expression and the remedy.
    """
    return value if type(value) in _PLAIN else _check(value, label)


def print_text(value: Any, label: str) -> str:
    """Return the text of a value that may be printed; see refuse_unprintable."""
    return value if type(value) is str else str(refuse_unprintable(value, label))


def print_html(value: Any, label: str) -> str:
    """Return the HTML of a value that may be printed: markup as it is, and all else escaped; see refuse_unprintable."""
    if type(value) is str:
        return _escape(value)
    return escape(value if type(value) is Markup else refuse_unprintable(value, label))


def refuse_unprintable_argument(value: Any, label: str) -> Any:
    """Return an argument of a filter, which may be None."""
    return value if value is None or type(value) in _PLAIN else _check(value, label)


def refuse_unprintable_given(arguments: Iterable[Any], label: str) -> None:
    """Check the arguments of a method of markup, which may be lists of printed values."""
    for argument in arguments:
        if isinstance(argument, list | tuple):
            for item in argument:
                refuse_unprintable(item, f"an item of {label}")
        else:
            refuse_unprintable_argument(argument, label)


def refuse_unprintable_parts(value: Any, label: str, depth: int = 0) -> Any:
    """Return a value, such as those of a format or query, after checking that all its parts may be printed."""
    if depth < _DEEPEST:
        if isinstance(value, Mapping):
            return {
                refuse_unprintable(key, f"a name in {label}"): refuse_unprintable_parts(
                    part, f"{label}[{key!r}]", depth + 1
                )
                for key, part in value.items()
            }
        if isinstance(value, list | tuple):
            parts = [refuse_unprintable_parts(part, f"an item of {label}", depth + 1) for part in value]
            return tuple(parts) if isinstance(value, tuple) else parts
    return refuse_unprintable(value, label)


def refuse_unprintable_values(text: str, values: Any, label: str) -> Any:
    """Return the values of `text % values`, which may all be printed."""
    if isinstance(values, Mapping) and (names := _NAMED.findall(text)):
        checked = {name: refuse_unprintable(values[name], f"{label}.{name}") for name in names if name in values}
        return {**values, **checked}
    if isinstance(values, tuple):
        return tuple(refuse_unprintable(value, label) for value in values)
    return refuse_unprintable(values, label)


def _check(value: Any, label: str) -> Any:
    refuse_null(value, label)
    if isinstance(value, float | Decimal):
        if value != value:  # noqa: PLR0124 - NaN
            raise UnprintableError(f"{label} is NaN, not a number; correct the value it is computed from")
        if value in (float("inf"), float("-inf")):
            raise UnprintableError(f"{label} is infinite; correct the value it is computed from")
        return _write_out(value)
    if isinstance(value, MethodName):
        raise UnprintableError(value.describe(label))
    if isinstance(value, (*_SCALARS, Undefined)) or hasattr(value, "__html__"):
        return value  # an undefined name raises its own error
    raise UnprintableError(_describe(value, label))


def _write_out(number: float | Decimal) -> float | Decimal:
    """Return a number that prints without exponent, up to some hundreds of digits."""
    if isinstance(number, Decimal):
        is_short = abs(number.adjusted()) < _MOST_DIGITS
        return WrittenDecimal(number) if is_short and "E" in str(number) else number
    return WrittenFloat(number) if number.is_integer() or "e" in repr(number) else number


def _describe(value: Any, label: str) -> str:
    if isinstance(value, Mapping):
        fields = [f"{label}.{name}" for name in list(value)[:1]] if label.isidentifier() else []
        return f"{label} is a group of fields, not text; write one of them{f', such as {fields[0]}' if fields else ''}"
    if isinstance(value, bytes | bytearray):
        return f"{label} is binary data, not text; leave it out"
    if callable(value):
        return f"{label} is a function; write {label}(…) to call it"
    if isinstance(value, Iterable):
        written = f'{label}|join(", ")' if " " not in label else '|join(", ") after it'
        return f"{label} is a list, not text; write {written}, or a {{% for %}} loop"
    if label in ("campaign", "run", "recipient"):
        field = "address" if label == "recipient" else "name"
        return f"{label} is an object, not text; write one of its fields, such as {label}.{field}"
    column = f'; write recipient["{label}"] for a column of that name' if label.isidentifier() else ""
    return f"{label} is an object, not text{column}"


@pass_eval_context
def join_printable(
    eval_ctx: EvalContext, value: Any, d: Any = "", attribute: str | int | None = None, label: str = "this expression"
) -> str:
    """Jinja's `join`, for printable values only."""
    refuse_null(value, label)
    if isinstance(value, Mapping):
        refuse_unprintable(value, label)
    environment = eval_ctx.environment
    if attribute is not None:
        value = environment.call_filter("map", value, kwargs={"attribute": attribute}, eval_ctx=eval_ctx)
    items = [refuse_unprintable(item, f"an item of {label}") for item in value]
    limits.refuse_long_sum(items)
    joined: str = JINJA_FILTERS["join"](eval_ctx, items, refuse_unprintable(d, "the separator of join"))
    return joined


def write_attributes(xmlattr: Callable[..., str]) -> Callable[..., str]:
    """Return Jinja's `xmlattr`, for printable values only; it leaves nulls out."""

    @pass_eval_context
    def filtered(eval_ctx: EvalContext, d: Mapping[str, Any], autospace: bool = True) -> str:  # noqa: FBT001, FBT002 - Jinja's
        checked = {name: refuse_unprintable_argument(value, f"the attribute {name}") for name, value in d.items()}
        for name, value in checked.items():
            refuse_attribute(str(name), value)
        return xmlattr(eval_ctx, checked, autospace)

    return filtered
