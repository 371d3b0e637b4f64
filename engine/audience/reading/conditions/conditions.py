"""`[audience] where`: an SQL condition on the audience's columns, evaluated row by row."""

import re
from collections.abc import Sequence

import polars as pl

from engine.audience.reading.conditions.condition_grammar import rewrite
from engine.audience.reading.conditions.condition_tokens import ConditionError, ConditionFault
from engine.audience.reading.conditions.condition_words import FUNCTIONS
from engine.audience.reading.sources import refuse_unknown_column
from engine.audience.reading.types import DECIMAL, ColumnTypes, Schema
from engine.errors import DataError, nearest

KEY = "[audience] where"
WHERE = f"campaign.toml, {KEY}"
# Polars 2 casts no text to dates: its DATE() reads them.
_OF_DATES = re.compile(r"\b(?:date|datetime)\b")
_DATES = (
    "text such as '2026-11-24' is compared as it is: joined >= '2026-11-24'; as a date write DATE(joined), "
    "or DATE(NULLIF(joined, '')) where cells are blank"
)
# A panic is not a PolarsError: STRFTIME with an invalid format raises one.
_WRONG = (pl.exceptions.PolarsError, pl.exceptions.PanicException)


def parse_condition(where: str) -> pl.Expr:
    """Parse an SQL condition (Polars' dialect: comparisons, AND, OR, NOT, IN, LIKE, BETWEEN, CASE, CAST, functions).

    Polars parses the output of `rewrite`, never the text itself: it reads files while it parses a query.

    Raises:
        DataError: it is not one SQL expression, uses more than one row at a time, or uses something that is not
            allowed.
    """
    try:
        written = rewrite(where)
    except ConditionError as error:
        raise _point_at(where, error) from None
    try:
        return pl.sql_expr(f"({written})")
    except _WRONG as error:
        what = f"{KEY} is not an SQL condition: {where}"
        raise DataError(what, where=WHERE, remedy=_first_line(error)) from error


def _point_at(where: str, error: ConditionError) -> DataError:
    """Return the error with a mark under the place in the condition."""
    lines = where.split("\n")
    before = where[: error.at].split("\n")
    line, column = len(before), len(before[-1]) + 1
    pointed = "\n   ".join([*lines[:line], " " * (column - 1) + "^", *lines[line:]])
    what = f"{KEY} {error.fault}:" + ("" if error.fault is ConditionFault.SIZE else f"\n   {pointed}")
    return DataError(
        what, where=f"{WHERE}, line {line}, column {column} of the condition", remedy=_choose_remedy(error)
    )


def _choose_remedy(error: ConditionError) -> str:
    if error.fault is ConditionFault.ROWS:
        return "compare columns of the same row; averages, counts, windows, queries and tables are not supported"
    if error.fault is ConditionFault.FUNCTION:
        return f"{error.reason}: {nearest(error.reason.lower(), sorted(FUNCTIONS))}"
    return error.reason if error.fault is ConditionFault.SIZE else f"correct the condition at the mark: {error.reason}"


def columns_in(where: str, columns: Sequence[str]) -> frozenset[str]:
    """Return the names of the columns that a condition uses.

    Raises:
        DataError: it cannot be parsed, or names a column that is not among `columns`.
    """
    used = parse_condition(where).meta.root_names()
    for column in used:
        quoted = f'"{column}"' in where
        hint = f"if it is a value and not a column, write it in single quotes: '{column}'; " if quoted else ""
        refuse_unknown_column(column, columns=columns, key=KEY, hint=hint)
    return frozenset(used)


def rows_that_meet(where: str, cells: pl.DataFrame, types: ColumnTypes) -> pl.Series:
    """Evaluate a condition for every row. A row for which it is null does not meet it.

    Text without types is cast to `types`. If the condition does not fit these
    (`code = '123'`), all of its columns stay text.

    Args:
        where: the condition.
        cells: at least the columns that it uses.
        types: of these columns.

    Returns:
        Boolean, without nulls, one for each row.

    Raises:
        DataError: the condition does not fit the columns' types, or is not a condition.
    """
    condition = parse_condition(where)
    used = sorted(set(condition.meta.root_names()))
    typed = types.give_types(cells).select(used)
    height, cells = cells.height, cells.select(used)
    if not _fits(condition, typed.schema) and typed.schema != cells.schema and _fits(condition, cells.schema):
        typed = cells
    try:
        return _judge(condition, typed, height, where)
    except _WRONG as error:
        what = f"{KEY} does not fit the audience: {where}: {_first_line(error)}"
        is_of_dates = _OF_DATES.search(_first_line(error)) is not None
        remedy = f"{_DATES if is_of_dates else 'compare values of the same type, or use CAST'}; {_describe(typed)}"
        raise DataError(what, where=WHERE, remedy=remedy) from error


def _fits(condition: pl.Expr, schema: Schema) -> bool:
    row = pl.DataFrame({name: [None] for name in schema}, schema=schema)
    try:
        row.select(condition)
    except _WRONG:
        return False
    return True


def _judge(condition: pl.Expr, cells: pl.DataFrame, height: int, where: str) -> pl.Series:
    verdicts = cells.select(condition.alias("met")).to_series() if cells.width else pl.select(condition).to_series()
    if verdicts.dtype not in (pl.Boolean, pl.Null):
        what = f"{KEY} returns {verdicts.dtype}, not true or false: {where}"
        raise DataError(what, where=WHERE, remedy="write a comparison, such as points > 100")
    if verdicts.len() == 1 and height != 1:
        verdicts = verdicts.new_from_index(0, height)  # a constant
    return verdicts.cast(pl.Boolean).fill_null(value=False)


def _describe(cells: pl.DataFrame) -> str:
    """Describe the columns: their types, and for text the first value that is neither a number nor an address."""
    return "; ".join(_describe_column(column) for column in cells) or "it uses no column"


def _describe_column(column: pl.Series) -> str:
    if column.dtype != pl.String:
        return f"{column.name} is {column.dtype}"
    other = column.filter((column.str.strip_chars() != "") & ~column.str.contains(f"@|{DECIMAL}"))
    return f"{column.name} is text" + (f", for example '{other[0]}'" if other.len() else "")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
