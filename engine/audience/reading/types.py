"""Infer the types of text cells: CSV is text, but `points > 100` compares numbers.

A column's type is the narrowest one that fits all cells that are neither blank nor a program's word for a missing value
such
as NULL: booleans, integers, decimals, else text. A number with a leading zero or a plus sign is text, like a postal
code or a telephone number. The type is known only after all rows have been read. So every batch gets the
type that fits all batches so far. If a later batch widens it, all rows are read once more with the type that fits
them all, so the result does not depend on the division into batches.
"""

from collections.abc import Collection, Mapping
from threading import Lock

import polars as pl

from engine.audience.reading.blanks import is_blank_text

Schema = Mapping[str, pl.DataType]

# Numbers that can be parsed without loss: 01234 and +84 stay text.
INTEGER = "^-?(?:0|[1-9][0-9]*)$"
DECIMAL = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$"
# Programs' words for a missing value; in columns of numbers and booleans they have no other meaning.
WORDS_FOR_NOTHING = ("nan", "null", "none", "\\n", "#n/a", "(null)", "<na>", "nat")
_BOOLEAN = "^(?i:true|false)$"
_NUMBERS = (pl.Int64(), pl.Float64())


class ColumnTypes:
    """The types of some columns, as far as they are known. Thread-safe.

    Args:
        columns: the columns whose types are needed.
        are_text: whether they come from files without types; other columns keep their types.
    """

    def __init__(self, columns: Collection[str], *, are_text: bool) -> None:
        self.columns = tuple(sorted(columns))
        self._are_text = are_text
        self._known: dict[str, pl.DataType] = {}
        self._used: set[tuple[tuple[str, pl.DataType], ...]] = set()
        self._lock = Lock()

    def give_types(self, cells: pl.DataFrame) -> pl.DataFrame:
        """Cast text columns to the types that fit these rows and all rows before.

        Args:
            cells: at least the columns.
        """
        cells = cells.select(self.columns)
        if not self._are_text:
            return cells
        found = {column.name: type_of(column) for column in cells}
        with self._lock:
            self._known = {name: widen(self._known.get(name, pl.Null()), dtype) for name, dtype in found.items()}
            known = dict(self._known)
            self._used.add(tuple(known.items()))
        return cells.select(cast_text(cells.get_column(name), dtype) for name, dtype in known.items())

    @property
    def known(self) -> Schema:
        """The types that fit all rows so far."""
        return self._known

    def is_settled(self) -> bool:
        """Whether all rows were read with the types that fit them all; resets the count."""
        used, self._used = self._used, set()
        return all(dtype in (pl.Null, self._known[name]) for types in used for name, dtype in types)


def type_of(column: pl.Series) -> pl.DataType:
    """Return the type that fits all cells of a column; Null if all are blank."""
    if column.dtype != pl.String:
        return column.dtype
    text = _without_blanks(column)
    if text.null_count() == text.len():
        return pl.Null()
    text = _without_words_for_nothing(text)
    if text.null_count() == text.len():
        return pl.String()
    if text.str.contains(_BOOLEAN).all():
        return pl.Boolean()
    for pattern, dtype in zip((INTEGER, DECIMAL), _NUMBERS, strict=True):
        # Or it is too large for the type.
        if text.str.contains(pattern).all() and text.cast(dtype, strict=False).null_count() == text.null_count():
            return dtype
    return pl.String()


def widen(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    """Return the type that fits both."""
    if other in (one, pl.Null()):
        return one
    if one == pl.Null:
        return other
    return pl.Float64() if one in _NUMBERS and other in _NUMBERS else pl.String()


def cast_text(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Cast text to a type, blank cells to null; a column that is not text is unchanged."""
    if column.dtype != pl.String or dtype == pl.String:
        return column
    text = _without_words_for_nothing(_without_blanks(column))
    if dtype == pl.Boolean:
        return text.str.to_lowercase() == "true"
    return text.cast(dtype, strict=False)


def _without_words_for_nothing(text: pl.Series) -> pl.Series:
    return text.set(text.str.strip_chars().str.to_lowercase().is_in(WORDS_FOR_NOTHING), None)


def _without_blanks(text: pl.Series) -> pl.Series:
    return text.set(pl.select(is_blank_text(pl.lit(text))).to_series(), None)
