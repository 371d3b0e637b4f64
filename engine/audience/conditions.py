"""`[audience] where`: an SQL condition on the audience's columns."""

from collections.abc import Sequence

import polars as pl

from engine.audience.sources import refuse_unknown_column
from engine.errors import DataError

KEY = "[audience] where"
WHERE = f"campaign.toml, {KEY}"

# Written so that reading as a number loses nothing: 01234 and +84 stay text.
_INTEGER = "^-?(?:0|[1-9][0-9]*)$"
_DECIMAL = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$"
_BOOLEAN = "^(?i:true|false)$"


def parse_condition(where: str) -> pl.Expr:
    """Parse an SQL condition (Polars' dialect: comparisons, AND, OR, NOT, IN, LIKE, BETWEEN, CASE, CAST, functions).

    Raises:
        DataError: it is not one SQL expression.
    """
    try:
        # In brackets, or `a > 1 b` would be taken for an alias; the line break ends a comment.
        parsed = pl.sql_expr(f"({where}\n)")
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{KEY} is not an SQL condition: {where}", where=WHERE, remedy=_first_line(error)) from error
    if not isinstance(parsed, pl.Expr):
        raise DataError(f"{KEY} is more than one condition: {where}", where=WHERE, remedy="join them with AND")
    return parsed


def columns_in(where: str, columns: Sequence[str]) -> frozenset[str]:
    """Name the columns that a condition uses.

    Raises:
        DataError: it cannot be parsed, or names a column that is not among `columns`.
    """
    used = parse_condition(where).meta.root_names()
    for column in used:
        quoted = f'"{column}"' in where
        hint = f"if it is a value and not a column, write it in single quotes: '{column}'; " if quoted else ""
        refuse_unknown_column(column, columns=columns, key=KEY, hint=hint)
    return frozenset(used)


def rows_that_meet(where: str, cells: pl.DataFrame, *, untyped: bool) -> pl.Series:
    """Judge every row by a condition; where it comes out as null the row does not meet it.

    CSV has no types, yet `points > 100` means numbers. So for `untyped` cells the condition sees a column as
    integers, decimals or booleans when every cell that is not blank is written like one (and blank ones as null), and
    as text when one is not. A number with a leading zero or a plus sign is text, like a postal code. Should the
    condition not fit these types (`code = '123'`), it sees all its columns as the text that they are.

    Args:
        where: the condition.
        cells: the columns that it uses, at least.
        untyped: whether the cells come from CSV.

    Returns:
        Boolean, without nulls, one for each row.

    Raises:
        DataError: the condition does not fit the columns' types, or is not a condition.
    """
    condition = parse_condition(where)
    height = cells.height
    cells = cells.select(sorted(set(condition.meta.root_names())))
    typed = cells.select(_typed(column) for column in cells) if untyped else cells
    try:
        return _judge(condition, typed, height, where)
    except pl.exceptions.PolarsError as error:
        reason = error
    if untyped:
        try:
            return _judge(condition, cells, height, where)
        except pl.exceptions.PolarsError:
            pass  # the first reason is the one that a person expects
    what = f"{KEY} does not fit the audience: {where}: {_first_line(reason)}"
    raise DataError(what, where=WHERE, remedy=f"compare like with like, or use CAST; {_describe(typed)}")


def _judge(condition: pl.Expr, cells: pl.DataFrame, height: int, where: str) -> pl.Series:
    verdicts = cells.select(condition.alias("met")).to_series() if cells.width else pl.select(condition).to_series()
    if verdicts.dtype not in (pl.Boolean, pl.Null):
        what = f"{KEY} is a {verdicts.dtype} and not a condition: {where}"
        raise DataError(what, where=WHERE, remedy="write a comparison, such as points > 100")
    if verdicts.len() == 1 and height != 1:
        verdicts = verdicts.new_from_index(0, height)  # a constant, or an aggregate over all rows
    return verdicts.cast(pl.Boolean).fill_null(value=False)


def _typed(column: pl.Series) -> pl.Series:
    """The column with the type in which all its text is written."""
    if column.dtype != pl.String:
        return column
    text = column.set(column.str.strip_chars() == "", None)
    if text.null_count() == text.len():
        return pl.Series(column.name, text, dtype=pl.Null, strict=False)  # null is of any type
    if text.str.contains(_BOOLEAN).all():
        return text.str.to_lowercase() == "true"
    for pattern, dtype in ((_INTEGER, pl.Int64), (_DECIMAL, pl.Float64)):
        if text.str.contains(pattern).all():
            numbers = text.cast(dtype, strict=False)
            if numbers.null_count() == text.null_count():  # or it is too large for the type
                return numbers
    return column


def _describe(cells: pl.DataFrame) -> str:
    """Words for an error: each column's type, and for text the first value that is not a number."""
    return "; ".join(_describe_column(column) for column in cells) or "it uses no column"


def _describe_column(column: pl.Series) -> str:
    if column.dtype != pl.String:
        return f"{column.name} is {column.dtype}"
    other = column.filter((column.str.strip_chars() != "") & ~column.str.contains(_DECIMAL))
    return f"{column.name} is text" + (f", for example '{other[0]}'" if other.len() else "")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
