"""Missing values: blank cells, NaN, and the defaults of columns."""

from collections.abc import Callable, Collection

import polars as pl

from engine.audience.reading.dtypes import as_instance
from engine.audience.spec import Value
from engine.errors import DataError

# A visible character: not white space, not a control character, and not an invisible one (Unicode's
# Default_Ignorable_Code_Point has the zero-width ones, fillers and soft hyphens), nor a blank or mark outside of that
# list.
_SEEN = r"[^\s\p{Cc}\p{Default_Ignorable_Code_Point}\x{2800}\x{FFF9}-\x{FFFB}\x{13441}\x{13442}\x{1D159}]"


def is_blank_text(text: pl.Expr) -> pl.Expr:
    """Whether a text is empty or has only white space and invisible characters; null stays null."""
    return ~text.str.contains(_SEEN)


def is_blank(column: pl.Series) -> pl.Expr:
    """Whether there is no value: null or blank text."""
    value = pl.col(column.name)
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        return value.is_null() | is_blank_text(value.cast(pl.String))
    return value.is_null()


def fill(column: pl.Series, default: Value) -> pl.Series:
    """Replace blank cells of a column by a default.

    Raises:
        DataError: the default does not fit the column's type.
    """
    value = str(default).lower() if isinstance(default, bool) and column.dtype == pl.String else default
    try:
        typed = pl.Series([value]).cast(column.dtype)
    except pl.exceptions.PolarsError as error:
        where = f"campaign.toml, [audience] defaults.{column.name}"
        what = f"the default {default!r} does not fit the column {column.name}, which is {column.dtype}"
        raise DataError(what, where=where, remedy="give it a value of that type") from error
    filled = pl.when(is_blank(column)).then(pl.lit(typed).first()).otherwise(column.name).alias(column.name)
    return column.to_frame().select(filled).to_series()


def null_nans(cells: pl.DataFrame) -> pl.DataFrame:
    """Replace NaN by null, also inside lists and structs: pandas and R write a missing number as NaN."""
    found = {name: _change(pl.col(name), dtype, _null_nan) for name, dtype in cells.schema.items()}
    changed = [value for value in found.values() if value is not None]
    return cells.with_columns(changed) if changed else cells


def null_blanks(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return an expression that replaces blank text and NaN by null, also inside lists and structs.

    Args:
        value: the column.
        dtype: its type.
    """
    changed = _change(value, dtype, _null_blank)
    return value if changed is None else changed


def find_blank_texts(frame: pl.DataFrame, columns: Collection[str]) -> dict[str, list[str]]:
    """List the different blank texts in columns of text; replacing these is faster than null_blanks."""
    if not columns:
        return {}
    # A text that begins with a visible ASCII character is not blank; the pattern looks at the others.
    others = {name: pl.col(name).filter((pl.col(name) < "!") | (pl.col(name) > "~")) for name in columns}
    found = frame.select(cells.filter(is_blank_text(cells)).unique().implode() for cells in others.values())
    return {column.name: column.item().to_list() for column in found}


def _null_nan(value: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
    return value.fill_nan(None) if dtype.is_float() else None


def _null_blank(value: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return pl.when(~is_blank_text(value.cast(pl.String))).then(value)
    return _null_nan(value, dtype)


def _change(
    value: pl.Expr, dtype: pl.DataType, change: Callable[[pl.Expr, pl.DataType], pl.Expr | None]
) -> pl.Expr | None:
    """Replace the values of some types, also inside lists and structs; return None if a type contains none of these."""
    if isinstance(dtype, pl.Struct):
        found = [_change(pl.field(field.name), as_instance(field.dtype), change) for field in dtype.fields]
        fields = [field for field in found if field is not None]
        return pl.when(value.is_not_null()).then(value.struct.with_fields(*fields)) if fields else None
    if isinstance(dtype, pl.List | pl.Array):
        items = _change(pl.element(), as_instance(dtype.inner), change)
        if items is None:
            return None
        return value.list.eval(items) if isinstance(dtype, pl.List) else value.arr.eval(items)
    return change(value, dtype)
