"""Rename columns: without invisible characters, and as `[audience.columns]` says."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from engine.audience.reading.header_names import clean_name, name_each_once
from engine.audience.reading.rows import Rows, Table
from engine.errors import DataError, nearest

KEY = "[audience.columns]"


def with_seen_names(table: Table) -> Table:
    """Rename the columns to their names without invisible characters."""
    own = list(table.columns)
    if all(clean_name(column) == column for column in own):
        return table
    named = name_each_once(own)
    renamed = _rename(table, dict(zip(own, named.columns, strict=True)))
    return replace(renamed, twice=tuple(sorted({*table.twice, *named.twice})))


def rename_columns(tables: Sequence[Table], renames: Mapping[str, str]) -> tuple[Table, ...]:
    """Rename columns as `[audience.columns]` says.

    A file that already has the new name and not the old one is unchanged.

    Args:
        tables: the audience's files.
        renames: new name -> name in the files; the other way round if no file has the second name.

    Raises:
        DataError: no file has such a column, or another column of a file has the new name.
    """
    there = {column for table in tables for column in table.columns}
    new_of = dict(_direct(new, old, there) for new, old in renames.items())
    return tuple(_rename(table, _fitting(new_of, table)) for table in tables)


def _direct(new: str, old: str, there: set[str]) -> tuple[str, str]:
    if old in there:
        return old, new
    if new in there:
        return new, old
    what = f"{KEY} names the column {old}, which the audience does not have"
    raise DataError(what, where=f"campaign.toml, {KEY} {new}", remedy=nearest(old, sorted(there)))


def _fitting(new_of: Mapping[str, str], table: Table) -> dict[str, str]:
    fitting = {old: new for old, new in new_of.items() if old in table.columns}
    for old, new in fitting.items():
        if new in table.columns and new not in fitting:
            what = f"{KEY} renames the column {old} to {new}, but another column has that name"
            raise DataError(what, where=table.source.name, remedy=f"choose another name, or rename {new} as well")
    return fitting


def _rename(table: Table, new_of: Mapping[str, str]) -> Table:
    old_of = {new_of.get(column, column): column for column in table.columns}
    if all(new == old for new, old in old_of.items()):
        return table

    def batches(columns: Sequence[str]) -> Iterator[Callable[[], Rows]]:
        chosen = {old_of[column]: column for column in columns}
        for load in table.batches(list(chosen)):
            yield lambda load=load: _with_names(load(), chosen)  # type: ignore[misc]

    schema = {new: table.columns[old] for new, old in old_of.items()}
    twice, hidden = (tuple(new_of.get(column, column) for column in names) for names in (table.twice, table.hidden))
    closed = {new_of.get(column, column): what for column, what in table.closed.items()}

    def cell_notes(used: Collection[str]) -> Iterable[str]:
        return table.cell_notes([old_of[column] for column in used if column in old_of])

    return replace(
        table, columns=schema, twice=twice, hidden=hidden, closed=closed, batches=batches, cell_notes=cell_notes
    )


def _with_names(rows: Rows, names: Mapping[str, str]) -> Rows:
    return replace(rows, cells=rows.cells.rename(dict(names)))
