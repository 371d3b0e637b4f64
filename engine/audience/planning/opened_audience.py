"""Open the files of an audience: read their columns, not their rows."""

from collections.abc import Mapping, Sequence

import polars as pl
from msgspec import Struct, field

from engine.audience.reading.header_names import is_same_name
from engine.audience.reading.renames import rename_columns
from engine.audience.reading.sources import AudienceSource, Format, translate_read_errors
from engine.audience.reading.tables import Table, open_table, read_batches, reading_of, unite
from engine.audience.reading.text_files.raw_files import is_compressed
from engine.audience.reading.text_files.text_blocks import BLOCK_BYTES
from engine.audience.reading.written_forms import WrittenForms
from engine.audience.spec import AudienceSpec
from engine.errors import DataError, nearest

_SAMPLE_ROWS = 1000
# Roughly how many times larger the rows are than the file.
_GROWTH = {Format.CSV: 1, Format.NDJSON: 1, Format.PARQUET: 4, Format.ARROW: 2, Format.EXCEL: 6}
_COMPRESSION = 6
# Each block costs some 20 ms of calls to Polars, whatever its size; several blocks keep several threads busy.
_BLOCKS_WANTED = 16
_LARGEST_BLOCK_BYTES = 24 << 20


class Audience(Struct, frozen=True):
    """Sources whose columns are known.

    Attributes:
        tables: one for each source, in the order in which their rows count.
        columns: the columns that all of them have, in the order of the first, and types that fit all.
        lenient: exclude damaged rows instead of stopping.
        mixed: columns whose types cannot be unified, with Polars' error.
    """

    tables: tuple[Table, ...]
    columns: dict[str, pl.DataType]
    lenient: bool
    mixed: Mapping[str, str] = field(default_factory=dict)

    @property
    def sources(self) -> tuple[AudienceSource, ...]:
        """The files."""
        return tuple(table.source for table in self.tables)


def open_audience(sources: Sequence[AudienceSource], audience: AudienceSpec, *, lenient: bool = False) -> Audience:
    """Open the sources and find their columns.

    Raises:
        DataError: a file cannot be read, or there is no column of addresses.
    """
    reading = reading_of(audience, lenient=lenient, block_bytes=_choose_block_bytes(sources))
    tables = rename_columns([open_table(source, reading) for source in sources], audience.renames)
    forms = WrittenForms(date_format=audience.date_format, decimal=audience.decimal)
    tables = forms.read(tables, lenient=lenient)
    columns, mixed = unite(tables)
    opened = Audience(tables, dict(columns), lenient, mixed)
    if audience.address not in opened.columns:
        raise _no_address_column(audience.address, opened)
    return opened


def estimate_text(sources: Sequence[AudienceSource]) -> int:
    """Estimate the size of the sources' rows as text, in bytes."""
    return sum(
        source.size_bytes * _GROWTH[source.format] * (_COMPRESSION if _is_compressed(source) else 1)
        for source in sources
    )


def _is_compressed(source: AudienceSource) -> bool:
    with translate_read_errors(source):
        return is_compressed(source.path)


def _choose_block_bytes(sources: Sequence[AudienceSource]) -> int | None:
    """Choose how much text to read at once; None for the default."""
    wanted = estimate_text(sources) // _BLOCKS_WANTED
    return min(wanted, _LARGEST_BLOCK_BYTES) if wanted > BLOCK_BYTES else None


def _no_address_column(address: str, opened: Audience) -> DataError:
    what = f"there is no address column {address}"
    first = opened.tables[0]
    available = list(first.columns)
    if address in first.columns:
        other = next(table for table in opened.tables if address not in table.columns)
        what = f"{other.source.name} has no column {address}, which {first.source.name} has"
        remedy = f"give every file of an audience the same columns; {nearest(address, list(other.columns))}"
        return DataError(what, where=other.source.name, remedy=remedy)
    if first.holds_address:
        what += ", and the first line contains an address"
        remedy = "add a header line with the column names, or set has_header = false in [audience]"
        return DataError(what, where=first.source.name, remedy=remedy)
    if line := first.find_header(address):
        what += f", and line {line} has a column of that name"
        return DataError(what, where=first.source.name, remedy=f"set header_row = {line} in [audience]")
    same = [column for column in available if is_same_name(column, address)]
    if not same and (line := first.find_header("")):
        what += f", and line {line} looks like the header"
        return DataError(what, where=first.source.name, remedy=f"set header_row = {line} in [audience]")
    remedy = nearest(address, available)
    if same:
        remedy = f'did you mean {same[0]}? Set address = "{same[0]}" in [audience]; {nearest("", available)}'
    elif "did you mean" not in remedy and (alike := _column_with_addresses(first)):
        remedy = f'the column {alike} holds addresses: set address = "{alike}" in [audience]; {remedy}'
    return DataError(what, where=f"{first.source.name}; campaign.toml, [audience] address", remedy=remedy)


def _column_with_addresses(table: Table) -> str | None:
    texts = [column for column, dtype in table.columns.items() if dtype == pl.String]
    batch = next(read_batches([table], texts, table.columns), None) if texts else None
    cells = batch.load().cells.head(_SAMPLE_ROWS) if batch else pl.DataFrame()
    return next((column.name for column in cells if column.str.contains("@", literal=True).any()), None)
