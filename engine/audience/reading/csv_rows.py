"""Reading CSV strictly: every record of the file is a row or an error that names its line.

Polars alone reads damage silently (a short row is filled up, NUL-ridden UTF-16 is text, duplicate headers are renamed).
A block of lines without quotation marks is valid if it has exactly as many delimiters as it must, and either no row is
too short (the last column has no null) or none is too long (Polars reports it if it parses all columns). Any other
block is split: its records are found line by line and their fields counted, and only the valid ones are parsed; the
parser must find exactly as many.
"""

from collections.abc import Collection, Sequence

import polars as pl
from msgspec import Struct
from msgspec.structs import replace

from engine.audience.reading.csv_dialect import CHECK_QUOTES, CsvDialect
from engine.audience.reading.text_files.byte_counts import count_byte
from engine.audience.reading.text_files.text_blocks import DAMAGE, TextBlock, mark_damage
from engine.audience.reading.text_files.text_encoding import is_utf_8
from engine.errors import DataError

# One joined text of this many records stays far below the 4 GiB that a Polars string may have.
RECORDS_AT_ONCE = 200_000
LENIENT = "or give --lenient to exclude the affected rows"


class CsvRows(Struct, frozen=True):
    """The rows of a block of a CSV file.

    Attributes:
        places: one per row: `line` UInt64, the physical line (from 1) where the row begins; `malformed` String, what
            is wrong with it, or null.
        cells: the same rows, a String column for each of the columns that were asked for; all null if the row is
            malformed. A line break inside a quoted field is a line feed here.
    """

    places: pl.DataFrame
    cells: pl.DataFrame


def read_csv_block(
    block: TextBlock, dialect: CsvDialect, *, name: str, columns: Sequence[str], lenient: bool = False
) -> CsvRows:
    """Read a block of a CSV file (RFC 4180).

    Blank lines are skipped. A record with too many or too few fields, with a quotation mark inside an unquoted field
    or with a byte that is not a character is a malformed row; the rows after it are read.

    Args:
        block: whole lines; the header is skipped in the first block.
        dialect: how the file is written.
        name: the file as errors show it.
        columns: the columns to return.
        lenient: treat lines that make rows uncertain as malformed rows instead of raising an error.

    Raises:
        DataError: rows are uncertain: NUL, an unclosed quote, a file that ends in the middle of its last row.
    """
    block = _without_header(block, dialect.skip_lines)
    rows = _read_plain(block, dialect, columns) or _split_records(block, dialect, name, columns, lenient=lenient)
    if rows.places.is_empty() and block.data.strip():
        raise DataError(
            "there is text below the header, but no row can be read from it", where=name, remedy=CHECK_QUOTES
        )
    return rows


def _without_header(block: TextBlock, skip_lines: int) -> TextBlock:
    if block.first_line > skip_lines:
        return block
    end = 0
    for _ in range(skip_lines):
        feed = block.data.find(b"\n", end)
        if feed < 0:
            return TextBlock(b"", block.first_line + block.lines, 0, block.damaged, block.is_last)
        end = feed + 1
    return TextBlock(block.data[end:], skip_lines + 1, block.lines - skip_lines, block.damaged, block.is_last)


def _read_plain(block: TextBlock, dialect: CsvDialect, columns: Sequence[str]) -> CsvRows | None:
    """Read a block in which every line is a valid row; return None for any other block."""
    data, width = block.data, len(dialect.columns)
    if block.damaged or not data.endswith(b"\n") or any(data.find(mark) >= 0 for mark in (b'"', b"\0")):
        return None
    last = dialect.columns[-1]
    wanted = {*columns, last}
    cells = _parse_plain(data, dialect, wanted)
    has_gaps = cells is not None and cells.get_column(last).null_count() > 0
    if cells is not None and width == 1 and (has_gaps or (cells.to_series().str.strip_chars(" ") == "").any()):
        return None  # a blank line is not a row
    if has_gaps and len(wanted) < width:  # a row may be too short, and another too long
        wanted = {*dialect.columns}
        cells = _parse_plain(data, dialect, wanted)
    is_counted = has_gaps or len(wanted) < width
    if is_counted and count_byte(data, dialect.delimiter) != block.lines * (width - 1):
        return None
    if cells is None or cells.height != block.lines:
        return None
    line = pl.int_range(block.first_line, block.first_line + block.lines, dtype=pl.UInt64)
    places = pl.select(line=line, malformed=pl.repeat(None, block.lines, dtype=pl.String))
    return CsvRows(places, cells.select(columns))


def _parse_plain(data: bytes, dialect: CsvDialect, columns: Collection[str]) -> pl.DataFrame | None:
    """Parse some columns of lines; return None if the parser finds a fault."""
    try:
        return pl.read_csv(
            data,
            has_header=False,
            schema=dict.fromkeys(dialect.columns, pl.String),
            columns=[number for number, column in enumerate(dialect.columns) if column in columns],
            separator=dialect.delimiter,
            quote_char=None,
        )
    except pl.exceptions.PolarsError:
        return None  # splitting the block shows which row it was


def _split_records(
    block: TextBlock, dialect: CsvDialect, name: str, columns: Sequence[str], *, lenient: bool
) -> CsvRows:
    if not is_utf_8(block.data):
        block = replace(block, data=mark_damage(block.data), damaged=True)
    records = _records(_lines(block, name, lenient=lenient))
    width = len(dialect.columns)
    judged = _judge(records, dialect.delimiter, width=width, damaged=block.damaged)
    uncertain = (pl.col("quotes") % 2 == 1) | (pl.col("loose") & (pl.col("last") > pl.col("line")))
    if not lenient:
        _refuse_unclosed_quotes(judged.filter(uncertain), name)
        if block.is_last and not block.data.endswith(b"\n"):
            _refuse_a_cut_end(judged, name, width=width)
    elif judged.select(uncertain.any()).item():
        judged = _judge_line_by_line(judged, uncertain, dialect.delimiter, width, damaged=block.damaged)
    places = judged.select("line", "malformed")
    sound = judged.filter(pl.col("malformed").is_null()).get_column("text")
    cells = _parse(sound, dialect.columns, name, dialect.delimiter)
    return CsvRows(places, _align(cells.select(columns), places.get_column("malformed").is_null()))


def _judge_line_by_line(
    judged: pl.DataFrame, uncertain: pl.Expr, delimiter: str, width: int, *, damaged: bool
) -> pl.DataFrame:
    """Split records with an unclosed quote into their lines, and check each line alone."""
    apart = (
        judged.filter(uncertain)
        .select(pl.col("line"), text=pl.col("text").str.split("\n"))
        .explode("text", empty_as_null=True, keep_nulls=True)
    )
    apart = apart.with_columns(line=pl.col("line") + pl.int_range(pl.len(), dtype=pl.UInt64).over("line"))
    apart = apart.filter(pl.col("text").str.strip_chars(" ") != "").with_columns(
        last=pl.col("line"), quotes=_count_quotes()
    )
    again = _judge(apart, delimiter, width=width, damaged=damaged)
    unclosed = (
        pl.when(pl.col("quotes") % 2 == 1).then(pl.lit("a quote is opened and not closed")).otherwise("malformed")
    )
    again = again.with_columns(malformed=unclosed)
    return pl.concat([judged.filter(~uncertain), again.select(judged.columns)]).sort("line")


def _count_quotes() -> pl.Expr:
    return pl.col("text").str.count_matches('"', literal=True).cast(pl.UInt64)


def _lines(block: TextBlock, name: str, *, lenient: bool) -> pl.DataFrame:
    """The physical lines: `line` UInt64, `text` String without its line end."""
    if not lenient and (nul := block.data.find(b"\0")) >= 0:
        line = block.first_line + block.data.count(b"\n", 0, nul)
        remedy = f"remove them, {LENIENT}; if the file is UTF-16, set encoding in [audience]"
        raise DataError("the file contains NUL characters", where=f"{name}, line {line}", remedy=remedy)
    lines = pl.read_lines(block.data, name="text") if block.data else pl.DataFrame(schema={"text": pl.String})
    return lines.with_columns(line=pl.int_range(block.first_line, block.first_line + pl.len(), dtype=pl.UInt64))


def _records(lines: pl.DataFrame) -> pl.DataFrame:
    """Join lines that are divided by a quoted line break, and remove blank ones.

    A record is open at the end of a line if the number of quotation marks so far is odd.

    Returns:
        `line` where the record begins, `last` where it ends, `text`, `quotes` (their number).
    """
    lines = lines.with_columns(quotes=_count_quotes(), last=pl.col("line"))
    if lines.get_column("quotes").sum():
        lines = _join_open_lines(lines)
    blank = (pl.col("line") == pl.col("last")) & (pl.col("text").str.strip_chars(" ") == "")
    return lines.filter(~blank)


def _join_open_lines(lines: pl.DataFrame) -> pl.DataFrame:
    begins = (pl.col("quotes").cum_sum() - pl.col("quotes")) % 2 == 0
    lines = lines.with_columns(begins=begins)
    if lines.get_column("begins").all():
        return lines.drop("begins")
    lines = lines.with_columns(alone=pl.col("begins") & pl.col("begins").shift(-1, fill_value=True))
    parts = lines.filter(~pl.col("alone")).with_columns(record=pl.col("begins").cum_sum())
    joined = parts.group_by("record", maintain_order=True).agg(
        pl.col("text").str.join("\n"), pl.col("line").first(), pl.col("quotes").sum(), pl.col("last").last()
    )
    single = lines.filter("alone").select("text", "line", "quotes", "last")
    return pl.concat([single, joined.select(single.columns)]).sort("line")


def _judge(records: pl.DataFrame, delimiter: str, *, width: int, damaged: bool) -> pl.DataFrame:
    """Add `fields` (their number), `loose` (a quotation mark in an unquoted field) and `malformed` (why, or null).

    Quoted fields are reduced to one quotation mark each, so the remaining delimiters are real, and a mark
    next to anything but a delimiter is loose.
    """
    quoted = pl.col("text").str.replace_all('(?:"[^"]*")+', '"')
    any_quotes = bool(records.get_column("quotes").sum())
    bare = pl.when(pl.col("quotes") > 0).then(quoted).otherwise("text") if any_quotes else pl.col("text")
    records = records.with_columns(bare=bare).with_columns(
        fields=pl.col("bare").str.count_matches(delimiter, literal=True) + 1,
        loose=(pl.col("quotes") > 0) & pl.col("bare").str.contains(f'[^{delimiter}]"|"[^{delimiter}]'),
    )
    spans = (
        pl.when(pl.col("last") > pl.col("line")).then(pl.format(" (it ends in line {})", "last")).otherwise(pl.lit(""))
    )
    counted = pl.format(f"the row has {{}} fields, the header has {width}{{}}", "fields", spans)
    malformed = (
        pl.when("loose")
        .then(pl.lit("a field that is not quoted as a whole has a quotation mark"))
        .when(pl.col("text").str.contains(DAMAGE, literal=True) if damaged else pl.lit(value=False))
        .then(pl.lit("it has a byte that is not a character in the file's encoding"))
        .when(pl.col("text").str.contains("\0", literal=True))
        .then(pl.lit("it has a NUL character"))
        .when(pl.col("fields") != width)
        .then(counted)
    )
    return records.with_columns(malformed=malformed).drop("bare")


def _refuse_unclosed_quotes(unclosed: pl.DataFrame, name: str) -> None:
    """Refuse an unclosed quotation mark: it contains line ends, and it is unknown which of them end a row."""
    if unclosed.height:
        line = unclosed.item(0, "line")
        remedy = f'close the quote; a quotation mark inside a quoted field is written twice (""); {LENIENT}'
        raise DataError("a quote is opened and not closed", where=f"{name}, line {line}", remedy=remedy)


def _refuse_a_cut_end(records: pl.DataFrame, name: str, *, width: int) -> None:
    end = records.tail(1)
    if not end.is_empty() and end.item(0, "fields") < width:
        what = "the file ends in the middle of a row, without a line break: it looks truncated"
        remedy = f"fetch it again; if it is complete, add a line break at its end, {LENIENT}"
        raise DataError(what, where=f"{name}, line {end.item(0, 'line')}", remedy=remedy)


def _parse(texts: pl.Series, header: tuple[str, ...], name: str, delimiter: str) -> pl.DataFrame:
    schema = dict.fromkeys(header, pl.String)
    blocks = [pl.DataFrame(schema=schema)]
    for start in range(0, texts.len(), RECORDS_AT_ONCE):
        block = texts.slice(start, RECORDS_AT_ONCE)
        data = block.str.join("\n").item().encode()
        try:
            blocks.append(pl.read_csv(data, has_header=False, schema=schema, separator=delimiter))
        except pl.exceptions.ComputeError as error:
            what = f"the rows cannot be parsed: {str(error).splitlines()[0]}"
            raise DataError(what, where=name, remedy=CHECK_QUOTES) from error
        if blocks[-1].height != block.len():
            what = f"the parser found {blocks[-1].height} of {block.len()} rows"
            raise DataError(what, where=name, remedy=CHECK_QUOTES)
    # An empty field is null, quoted or not.
    return pl.concat(blocks).select(pl.when(pl.col(name) != "").then(name).alias(name) for name in header)


def _align(cells: pl.DataFrame, sound: pl.Series) -> pl.DataFrame:
    """Insert rows of nulls for the malformed rows."""
    if cells.height == sound.len():
        return cells
    position = pl.select(pl.when(sound).then(sound.cum_sum().cast(pl.Int64) - 1)).to_series()
    return cells.select(pl.all().gather(position))
