"""Sources as tables: columns, types and batches of rows, for any format."""

from collections.abc import Callable, Iterator, Sequence

import polars as pl
from msgspec.structs import replace

from engine.audience.reading import ndjson_rows
from engine.audience.reading.binary import binary_rows
from engine.audience.reading.blanks import null_nans
from engine.audience.reading.csv_dialect import HEADER_BYTES, CsvDialect, find_header, holds_address, read_dialect
from engine.audience.reading.csv_rows import read_csv_block
from engine.audience.reading.renames import with_seen_names
from engine.audience.reading.rows import Batch, Reading, Rows, Schema, Table
from engine.audience.reading.sources import AudienceSource, Format, unreadable
from engine.audience.reading.text_files.text_blocks import TextBlock, read_text
from engine.audience.reading.text_files.text_encoding import Encoding, detect_encoding
from engine.audience.reading.workbooks import workbooks
from engine.audience.spec import AudienceSpec
from engine.errors import DataError

__all__ = ["Batch", "Reading", "Rows", "Schema", "Table", "open_table", "read_batches", "reading_of", "unite"]


def reading_of(audience: AudienceSpec, *, lenient: bool, block_bytes: int | None = None) -> Reading:
    """Return the settings of `[audience]` for reading files."""
    return Reading(
        encoding=audience.encoding,
        delimiter=audience.delimiter,
        has_header=audience.has_header,
        header_row=audience.header_row,
        columns=audience.names,
        sheet=audience.sheet,
        skips_hidden=True,
        lenient=lenient,
        block_bytes=block_bytes,
    )


def open_table(source: AudienceSource, reading: Reading) -> Table:
    """Open a source and find its columns.

    Raises:
        DataError: it is damaged, or has no header although it should.
    """
    opener = {
        Format.CSV: _open_csv,
        Format.NDJSON: _open_ndjson,
        Format.PARQUET: _open_binary,
        Format.ARROW: _open_binary,
        Format.EXCEL: _open_excel,
    }[source.format]
    try:
        table = opener(source, reading)
    except binary_rows.UNREADABLE as error:
        raise unreadable(source, error) from error
    source.limits.check_columns(len(table.columns), source.name)
    table = with_seen_names(table)
    for column in table.columns:
        if column == "*" or (column.startswith("^") and column.endswith("$")):
            what = f"the column name {column} looks like a pattern"
            raise DataError(what, where=source.name, remedy="rename the column")
    return table


def read_batches(tables: Sequence[Table], columns: Sequence[str], types: Schema) -> Iterator[Batch]:
    """Read the tables' rows of some columns, in order, with the same types in all tables.

    Raises:
        DataError: a file is damaged, or has changed since it was found; raised when a batch is loaded.
    """
    for number, table in enumerate(tables):
        own = [column for column in columns if column in table.columns]
        try:
            for load in table.batches(own):
                yield Batch(number, _typed(load, columns, types, table.source))
        except binary_rows.UNREADABLE as error:
            raise unreadable(table.source, error) from error
        table.source.refuse_if_changed()


def _typed(
    load: Callable[[], Rows], columns: Sequence[str], types: Schema, source: AudienceSource
) -> Callable[[], Rows]:
    def load_typed() -> Rows:
        try:
            rows = load()
            rows = replace(rows, cells=null_nans(rows.cells))
            own = rows.cells.columns
            absent = [pl.lit(None, dtype=types[column]).alias(column) for column in columns if column not in own]
            cells = rows.cells.with_columns(*absent).select(pl.col(column).cast(types[column]) for column in columns)
        except binary_rows.UNREADABLE as error:
            raise unreadable(source, error) from error
        return replace(rows, cells=cells)

    return load_typed


def _open_csv(source: AudienceSource, reading: Reading) -> Table:
    encoding = _detect_encoding(source, reading)
    delimiter = reading.delimiter or ("\t" if source.is_tabbed else None)
    head = _read_head(source, encoding, reading)
    dialect = read_dialect(
        head,
        name=source.name,
        delimiter=delimiter,
        has_header=reading.has_header,
        header_row=reading.header_row,
        columns=reading.columns,
        limits=source.limits,
    )

    def batches(columns: Sequence[str]) -> Iterator[Callable[[], Rows]]:
        for block in _read_blocks(source, encoding, reading, quoted=True):
            yield lambda block=block: _load_csv(block, dialect, source, reading, columns)  # type: ignore[misc]

    notes = [encoding.note] if encoding.note else []
    if dialect.nameless:
        notes.append(f"{source.name}: columns without a name get the names {', '.join(dialect.nameless)}")
    if dialect.twice:
        notes.append(
            f"{source.name}: the header repeats names: {', '.join(dialect.twice)}; the later columns are numbered"
        )
    schema = dict.fromkeys(dialect.columns, pl.String())
    is_row = reading.has_header and holds_address(dialect)
    return Table(source, schema, tuple(notes), dialect.twice, is_row, batches, lambda column: find_header(head, column))


def _detect_encoding(source: AudienceSource, reading: Reading) -> Encoding:
    return detect_encoding(
        source.path,
        name=source.name,
        declared=reading.encoding,
        lenient=reading.lenient,
        limits=source.limits,
    )


def _read_blocks(source: AudienceSource, encoding: Encoding, reading: Reading, *, quoted: bool) -> Iterator[TextBlock]:
    return read_text(
        source.path,
        encoding,
        name=source.name,
        quoted=quoted,
        lenient=reading.lenient,
        block_bytes=reading.block_bytes,
        limits=source.limits,
    )


def _read_head(source: AudienceSource, encoding: Encoding, reading: Reading) -> bytes:
    blocks = read_text(
        source.path,
        encoding,
        name=source.name,
        quoted=False,
        lenient=reading.lenient,
        block_bytes=HEADER_BYTES,
        limits=source.limits,
    )
    head = b""
    for block in blocks:
        head += block.data
        if len(head) >= HEADER_BYTES:
            break
    return head[:HEADER_BYTES]


def _load_csv(
    block: TextBlock, dialect: CsvDialect, source: AudienceSource, reading: Reading, columns: Sequence[str]
) -> Rows:
    rows = read_csv_block(block, dialect, name=source.name, columns=columns, lenient=reading.lenient)
    return Rows(rows.places, rows.cells)


def _open_ndjson(source: AudienceSource, reading: Reading) -> Table:
    encoding = _detect_encoding(source, reading)
    schema, mixed = ndjson_rows.infer_schema(
        _read_blocks(source, encoding, reading, quoted=False), source.name, source.limits
    )

    def batches(columns: Sequence[str]) -> Iterator[Callable[[], Rows]]:
        wanted = {column: schema[column] for column in columns}
        for block in _read_blocks(source, encoding, reading, quoted=False):
            yield lambda block=block: _load_ndjson(block, wanted, source, reading)  # type: ignore[misc]

    notes = [encoding.note] if encoding.note else []
    notes += [f"{source.name}: {what}; it is not read" for what in mixed.values()]
    return Table(source, schema, tuple(notes), (), holds_address=False, batches=batches, closed=mixed)


def _load_ndjson(block: TextBlock, wanted: Schema, source: AudienceSource, reading: Reading) -> Rows:
    return Rows(*ndjson_rows.read_block(block, wanted, name=source.name, lenient=reading.lenient))


def _open_binary(source: AudienceSource, reading: Reading) -> Table:  # noqa: ARG001 - same signature as the others
    scan = binary_rows.scan(source)
    schema = {column: binary_rows.plain_type(dtype) for column, dtype in scan.collect_schema().items()}

    def batches(columns: Sequence[str]) -> Iterator[Callable[[], Rows]]:
        first = 1
        for cells in binary_rows.read_batches(scan, columns):
            lines = pl.int_range(first, first + cells.height, dtype=pl.UInt64)
            first += cells.height
            binary_rows.check_texts(cells, source)
            yield lambda lines=lines, cells=cells: Rows(_number(lines, cells.height), cells)  # type: ignore[misc]

    closed = {
        column: f"the column {column} has the type INTERVAL, which cannot be read"
        for column, dtype in schema.items()
        if binary_rows.is_interval(dtype)
    }
    notes = [f"{source.name}: {what}; it is not read" for what in closed.values()]
    return Table(source, schema, tuple(notes), (), holds_address=False, batches=batches, closed=closed)


def _open_excel(source: AudienceSource, reading: Reading) -> Table:
    sheet = workbooks.read_sheet(source, reading.sheet)
    dialect = sheet.name_columns(
        source.name, has_header=reading.has_header, header_row=reading.header_row, columns=reading.columns
    )

    def batches(columns: Sequence[str]) -> Iterator[Callable[[], Rows]]:
        places, cells = sheet.rows(dialect)
        if not reading.skips_hidden:
            places = places.drop("hidden")
        yield lambda: Rows(places, cells.select(columns))

    schema = dict.fromkeys(dialect.columns, pl.String())
    is_row = reading.has_header and holds_address(dialect)
    notes = sheet.notes(source.name, dialect, skips_hidden=reading.skips_hidden)
    hidden = tuple(name for name, hides in zip(dialect.columns, sheet.hidden_columns(), strict=True) if hides)
    return Table(
        source,
        schema,
        notes,
        dialect.twice,
        is_row,
        batches,
        sheet.find_header,
        hidden,
        cell_notes=lambda used: sheet.cell_notes(source.name, dialect, used),
    )


def _number(lines: pl.Expr, height: int) -> pl.DataFrame:
    return pl.select(line=lines, malformed=pl.repeat(None, height, dtype=pl.String))


def unite(tables: Sequence[Table]) -> tuple[Schema, dict[str, str]]:
    """Return the columns that all tables have, in the order of the first, with types that fit all.

    Returns:
        The columns; and the columns whose types cannot be unified, which cannot be read, with Polars' error.
    """
    first, *others = tables
    united: dict[str, pl.DataType] = {}
    mixed: dict[str, str] = {}
    for column in first.columns:
        if not all(column in other.columns for other in others):
            continue
        frames = [pl.DataFrame(schema={column: table.columns[column]}) for table in tables]
        try:
            dtype = pl.concat(frames, how="vertical_relaxed").schema[column]
        except pl.exceptions.PolarsError as error:
            mixed[column] = str(error)
            dtype = pl.String()
        united[column] = pl.String() if dtype == pl.Null else dtype
    return united, mixed
