"""What a file of rows is, whatever its format: its columns, its batches, its rows."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from engine.audience.reading.sources import AudienceSource

Schema = Mapping[str, pl.DataType]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How files are read: what campaign.toml and the command line say about it.

    Attributes:
        encoding, delimiter, has_header, header_row, sheet: as in `AudienceSpec`.
        columns: names for the columns of a file without a header.
        skips_hidden: mark the rows that a sheet hides, so that they are left out.
        lenient: leave out what is damaged where it would be refused.
        block_bytes: how much text to read at once; None for the usual.
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


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a source.

    Attributes:
        places: a row each: `line` UInt64 (the line of the file where it begins; the row's number from 1 where the
            format has no lines) and `malformed` String (why it cannot be read, or null); `hidden` Boolean where a
            sheet tells it and it matters.
        cells: the columns asked for; all null where the row is malformed.
    """

    places: pl.DataFrame
    cells: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that may be read in another thread.

    Attributes:
        table: the number of their table.
        load: reads them.
        is_last: the table ends with them.
    """

    table: int
    load: Callable[[], Rows]
    is_last: bool = False


@dataclass(frozen=True)
class Table:
    """A source whose columns are known.

    Attributes:
        source: the file.
        columns: its columns and their types, in its order; String for CSV and Excel.
        notes: sentences about the file for people.
        twice: names that its header has more than once.
        holds_address: its header holds an address, and so is a row.
        batches: reads the rows of some columns.
        find_header: tells the line, not the first, that has a name among its cells, or for an empty name seems to have
            the names; None where none has.
        hidden: columns that a sheet does not show.
        closed: columns that are there and cannot be read, with words that say why.
        cell_notes: sentences for people about cells of some columns, those that are used.
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
