"""The ledger's tables, from their definitions."""

from sqlalchemy import Column, Table

from engine.ledger.schema import Timestamp, metadata
from tools.reference.markdown import escape, make_table


def describe_ledger() -> str:
    """Return a section for every table."""
    return "\n\n".join(_describe(table) for table in metadata.tables.values())


def _describe(table: Table) -> str:
    rows = [(f"`{column.name}`", _name_type(column), escape(column.doc or "")) for column in table.columns]
    return f"## `{table.name}`\n\n{table.info['about']}\n\n{make_table(('column', 'type', 'meaning'), rows)}"


def _name_type(column: "Column[object]") -> str:
    kind = "time, ISO 8601 in UTC" if isinstance(column.type, Timestamp) else str(column.type).lower()
    marks = [mark for mark, holds in (("primary key", column.primary_key), ("may be null", column.nullable)) if holds]
    return ", ".join([kind, *marks])
