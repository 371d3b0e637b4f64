"""Columns, batches and rows of a file in any format."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import polars as pl
from msgspec import Struct, field

from engine.audience.reading.sources import AudienceSource

Schema = Mapping[str, pl.DataType]


class Reading(Struct, frozen=True, kw_only=True):
    """How files are read: settings of campaign.toml and the command line.

    Attributes:
        encoding, delimiter, has_header, header_row, sheet: as in `AudienceSpec`.
        columns: names for the columns of a file without a header.
        skips_hidden: mark the rows that a sheet hides, so that they are excluded.
        lenient: exclude damaged rows instead of raising an error.
        block_bytes: how much text to read at once; None for the default.
    """

    encoding: str | None = None
    delimiter: str | None = None
    has_header: bool = True
    header_row: int | None = None
    columns: tuple[str, ...] = ()
    sheet: str | None = None
    skips_hidden: bool = False
    lenient: bool = False
    block_bytes: int | None = None


class Rows(Struct, frozen=True):
    """Some rows of a source.

    Attributes:
        places: one per row: `line` UInt64 (the line of the file where it begins; the row's number from 1 if the
            format has no lines) and `malformed` String (why it cannot be read, or null); `hidden` Boolean if a
            sheet has hidden rows and they are excluded.
        cells: the requested columns; all null if the row is malformed.
    """

    places: pl.DataFrame
    cells: pl.DataFrame


class Batch(Struct, frozen=True):
    """Rows that another thread may read.

    Attributes:
        table: the number of their table.
        load: reads them.
        is_last: the table ends with them.
    """

    table: int
    load: Callable[[], Rows]
    is_last: bool = False


class Table(Struct, frozen=True):
    """A source whose columns are known.

    Attributes:
        source: the file.
        columns: its columns and their types, in the file's order; String for CSV and Excel.
        notes: notes about the file for the operator.
        twice: names that its header has more than once.
        holds_address: its header contains an address, and so is a row.
        batches: reads the rows of some columns.
        find_header: finds the line, other than the first, that has a name among its cells, or for an empty name seems
            to have the names; None if there is none.
        hidden: columns that a sheet hides.
        closed: columns that cannot be read, with the reason.
        cell_notes: notes for the operator about cells of the columns that are used.
    """

    source: AudienceSource
    columns: Schema
    notes: tuple[str, ...]
    twice: tuple[str, ...]
    holds_address: bool
    batches: Callable[[Sequence[str]], Iterator[Callable[[], Rows]]]
    find_header: Callable[[str], int | None] = lambda _: None
    hidden: tuple[str, ...] = ()
    closed: Mapping[str, str] = field(default_factory=dict)
    cell_notes: Callable[[Collection[str]], Iterable[str]] = lambda _: ()
