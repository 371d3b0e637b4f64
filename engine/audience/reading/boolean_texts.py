"""Text cells with TRUE or FALSE: printed and compared as text, a boolean in a condition."""

from collections.abc import Collection, Iterator
from itertools import chain, repeat
from typing import Any

import polars as pl

_TRUE, _FALSE = "true", "false"
_ROWS_AT_ONCE = 256  # take less than a millisecond, and the event loop waits for them


class BooleanText(str):
    """Text that is true or false, in upper or lower case: `{% if vip %}` uses it as a boolean.

    >>> bool(BooleanText("FALSE")), BooleanText("FALSE") == False, BooleanText("FALSE") == "FALSE"
    (False, True, True)
    """

    __slots__ = ()

    def __bool__(self) -> bool:
        """Whether it is true."""
        return self.strip().lower() == _TRUE

    def __eq__(self, other: object) -> bool:
        """Whether it equals that text or that boolean."""
        return bool(self) is other if isinstance(other, bool) else str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        """Whether it differs from that text or that boolean."""
        return not self == other

    __hash__ = str.__hash__


def iterate_rows(content: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the rows of a frame for templates: booleans that were read as text are booleans in conditions."""
    with_booleans = _find_booleans(content)
    return chain.from_iterable(_make_rows(part, with_booleans) for part in content.iter_slices(_ROWS_AT_ONCE))


def _make_rows(content: pl.DataFrame, with_booleans: Collection[str]) -> Iterator[dict[str, Any]]:
    """Make rows from whole columns: a third of the time that `DataFrame.iter_rows` takes."""
    columns = [_list_values(column, is_boolean=column.name in with_booleans) for column in content]
    return map(dict, map(zip, repeat(content.columns), zip(*columns, strict=True)))


def _list_values(column: pl.Series, *, is_boolean: bool) -> list[Any]:
    values = column.to_list()
    return [_to_boolean(value) for value in values] if is_boolean else values


def _find_booleans(content: pl.DataFrame) -> set[str]:
    found = content.select(pl.col(pl.String).str.contains(r"^\s*(?i:true|false)\s*$").any())
    return (
        {name for name, is_found in zip(found.columns, found.row(0), strict=True) if is_found} if found.width else set()
    )


def _to_boolean(value: str | None) -> str | None:
    return BooleanText(value) if value is not None and value.strip().lower() in (_TRUE, _FALSE) else value
