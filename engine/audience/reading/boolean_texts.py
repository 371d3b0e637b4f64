"""Text cells with TRUE or FALSE: printed and compared as text, a boolean in a condition."""

from collections.abc import Iterator
from typing import Any

import polars as pl

_TRUE, _FALSE = "true", "false"


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
    columns = [column.name for column in content if _has_booleans(column)]
    rows = content.iter_rows(named=True)
    return (_with_booleans(row, columns) for row in rows) if columns else rows


def _has_booleans(column: pl.Series) -> bool:
    return column.dtype == pl.String and bool(column.str.contains(r"^\s*(?i:true|false)\s*$").any())


def _with_booleans(row: dict[str, Any], columns: list[str]) -> dict[str, Any]:
    for column in columns:
        value = row[column]
        if value is not None and value.strip().lower() in (_TRUE, _FALSE):
            row[column] = BooleanText(value)
    return row
