"""The columns that a plan needs: those that the campaign names and those that its content uses."""

from collections.abc import Collection, Iterator, Sequence

import polars as pl

from engine.audience.planning.arrangement import parse_order
from engine.audience.planning.opened_audience import Audience
from engine.audience.reading.conditions.conditions import columns_in
from engine.audience.reading.sources import refuse_unknown_column
from engine.audience.spec import AudienceSpec
from engine.errors import DataError, nearest


def column_notes(opened: Audience, used: Collection[str]) -> Iterator[str]:
    """Yield notes about the cells of used columns, and about used columns that a sheet hides."""
    for table in opened.tables:
        yield from table.cell_notes(used)
        if hidden := [column for column in table.hidden if column in used]:
            yield f"{table.source.name}: the campaign uses columns that the sheet hides: {', '.join(hidden)}"


def content_columns(columns: Collection[str] | None, opened: Audience) -> tuple[str, ...]:
    """Return the content's columns in the audience's order.

    Raises:
        DataError: a template names a column that the audience does not have.
    """
    if columns is None:
        closed = {column for table in opened.tables for column in table.closed}
        return tuple(column for column in opened.columns if column not in closed)
    for column in sorted(columns):
        if column not in opened.columns:
            what = f"the templates use the column {column}, which the audience does not have"
            raise DataError(what, where="the campaign's templates", remedy=nearest(column, list(opened.columns)))
    return tuple(column for column in opened.columns if column in columns)


def check_columns(audience: AudienceSpec, opened: Audience, content: Sequence[str]) -> None:
    """Check that every column that `[audience]` names is there, once, and the address is text.

    Raises:
        DataError: one is missing or there twice, differs between files, or is not text where addresses are.
    """
    dtype = opened.columns[audience.address]
    if dtype not in (pl.String, pl.Null):
        what = f"the address column {audience.address} has the type {dtype}, not text"
        raise DataError(what, where="campaign.toml, [audience] address", remedy="name the column with the addresses")
    orders = [order.column for order in parse_order(audience.order_by)]
    available = list(opened.columns)
    for key, names in (("required", audience.required), ("defaults", audience.defaults), ("order_by", orders)):
        for name in names:
            refuse_unknown_column(name, columns=available, key=f"[audience] {key}")
    used = {*columns_in(audience.where, available)} if audience.where else set()
    used |= {audience.address, *audience.required, *orders, *content}
    for name in sorted(used & set(opened.mixed)):
        what = f"the column {name} has different types in the files: {opened.mixed[name]}"
        raise DataError(what, where=opened.sources[0].name, remedy="give each column the same type in all files")
    for table in opened.tables:
        for name in sorted(used & set(table.closed)):
            what = f"{table.closed[name]}, and the campaign uses it"
            remedy = f"write it as text, in SQL as CAST({name} AS VARCHAR)"
            raise DataError(what, where=table.source.name, remedy=remedy)
        for name in sorted(used & set(table.twice)):
            what = f"the header has the column {name} twice, and the campaign uses it"
            raise DataError(what, where=table.source.name, remedy="give every column a different name")
