"""`[audience] where`: an SQL condition on the audience's columns, judged row by row."""

import re
from collections.abc import Sequence
from typing import Any

import orjson
import polars as pl

from engine.audience.sources import refuse_unknown_column
from engine.audience.types import DECIMAL, ColumnTypes, Schema
from engine.errors import DataError

KEY = "[audience] where"
WHERE = f"campaign.toml, {KEY}"
_PLACE = re.compile(r"(?:sql parser error: )?(.*?),? at Line: (\d+), Column: (\d+)")
# Names in Polars' expression trees.
_BEYOND_A_ROW = frozenset(
    ["Agg", "Len", "Over", "Window", "Rolling", "SubPlan", "Rank", "Quantile", "Correlation", "Shift", "Range"]
)
_LEAVES = frozenset(["Column", "Literal"])


def parse_condition(where: str) -> pl.Expr:
    """Parse an SQL condition (Polars' dialect: comparisons, AND, OR, NOT, IN, LIKE, BETWEEN, CASE, CAST, functions).

    Raises:
        DataError: it is not one SQL expression, or looks at more than one row at a time.
    """
    try:
        # In brackets, or `a > 1 b` would be taken for an alias; the line break ends a comment.
        parsed = pl.sql_expr(f"({where}\n)")
    except pl.exceptions.PolarsError as error:
        raise _point_at(where, str(error)) from error
    if not isinstance(parsed, pl.Expr):
        raise DataError(f"{KEY} is more than one condition: {where}", where=WHERE, remedy="join them with AND")
    if _looks_beyond_its_row(orjson.loads(parsed.meta.serialize(format="json"))):
        remedy = "compare each row's own columns; averages, counts, windows and queries cannot be asked for"
        raise DataError(f"{KEY} looks at more than one row at a time: {where}", where=WHERE, remedy=remedy)
    return parsed


def _looks_beyond_its_row(node: Any) -> bool:
    """Search an expression's tree; the audience is never in memory as a whole, so an aggregate would be of a part."""
    if isinstance(node, dict):
        return any(
            key in _BEYOND_A_ROW or (key not in _LEAVES and _looks_beyond_its_row(value)) for key, value in node.items()
        )
    if isinstance(node, list):
        return any(_looks_beyond_its_row(item) for item in node)
    return node in _BEYOND_A_ROW


def _point_at(where: str, said: str) -> DataError:
    """Show the place of a syntax error under the condition.

    A whole query's parser knows the place; it counts one line more, and the bracket after the condition as its end.
    """
    found = _PLACE.search(_first_line(_parse_as_query(where) or ValueError(said)))
    if found is None:
        return DataError(f"{KEY} is not an SQL condition: {where}", where=WHERE, remedy=said.splitlines()[0])
    lines = where.split("\n")
    line, column = int(found[2]) - 1, int(found[3])
    if line > len(lines):
        line, column = len(lines), len(lines[-1].rstrip()) + 1
    pointed = "\n   ".join([*lines[:line], " " * (column - 1) + "^", *lines[line:]])
    what = f"{KEY} is not an SQL condition:\n   {pointed}"
    reason = found[1].replace("found: )", "found: its end") if line == len(lines) else found[1]
    return DataError(
        what,
        where=f"{WHERE}, line {line}, column {column} of the condition",
        remedy=f"correct it at the mark: {reason}",
    )


def _parse_as_query(where: str) -> Exception | None:
    try:
        pl.SQLContext(audience=pl.LazyFrame()).execute(f"SELECT * FROM audience WHERE (\n{where}\n)")  # noqa: S608 - there is no data
    except pl.exceptions.PolarsError as error:
        return error
    return None


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


def rows_that_meet(where: str, cells: pl.DataFrame, types: ColumnTypes) -> pl.Series:
    """Judge every row by a condition; where it comes out as null the row does not meet it.

    Text without types is seen with the types that `types` gives it. Should the condition not fit these
    (`code = '123'`), it sees all its columns as the text that they are.

    Args:
        where: the condition.
        cells: the columns that it uses, at least.
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
    except pl.exceptions.PolarsError as error:
        what = f"{KEY} does not fit the audience: {where}: {_first_line(error)}"
        remedy = f"compare like with like, or use CAST; {_describe(typed)}"
        raise DataError(what, where=WHERE, remedy=remedy) from error


def _fits(condition: pl.Expr, schema: Schema) -> bool:
    row = pl.DataFrame({name: [None] for name in schema}, schema=schema)
    try:
        row.select(condition)
    except pl.exceptions.PolarsError:
        return False
    return True


def _judge(condition: pl.Expr, cells: pl.DataFrame, height: int, where: str) -> pl.Series:
    verdicts = cells.select(condition.alias("met")).to_series() if cells.width else pl.select(condition).to_series()
    if verdicts.dtype not in (pl.Boolean, pl.Null):
        what = f"{KEY} is a {verdicts.dtype} and not a condition: {where}"
        raise DataError(what, where=WHERE, remedy="write a comparison, such as points > 100")
    if verdicts.len() == 1 and height != 1:
        verdicts = verdicts.new_from_index(0, height)  # a constant
    return verdicts.cast(pl.Boolean).fill_null(value=False)


def _describe(cells: pl.DataFrame) -> str:
    """Words for an error: each column's type, and for text the first value that is not a number."""
    return "; ".join(_describe_column(column) for column in cells) or "it uses no column"


def _describe_column(column: pl.Series) -> str:
    if column.dtype != pl.String:
        return f"{column.name} is {column.dtype}"
    other = column.filter((column.str.strip_chars() != "") & ~column.str.contains(DECIMAL))
    return f"{column.name} is text" + (f", for example '{other[0]}'" if other.len() else "")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
