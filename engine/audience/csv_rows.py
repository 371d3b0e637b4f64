"""Reading CSV strictly: every record of the file is a row, or a refusal that names its line.

Polars alone reads damage silently (a short row is filled up, NUL-ridden UTF-16 is text, duplicate headers are
renamed). So the records are first found line by line and their fields counted, and only the sound ones are parsed;
the parser has to find exactly as many.
"""

import codecs
import csv
import io
from dataclasses import dataclass

import polars as pl

from engine.errors import DataError

# A header that is not complete within this many bytes belongs to no table.
HEADER_BYTES = 1 << 20
# One joined text of this many records stays far below the 4 GiB that a Polars string may have.
RECORDS_AT_ONCE = 200_000
DELIMITERS = (",", ";", "\t", "|")
CHECK_QUOTES = "check the quotation marks, or write the file as Parquet"
SAVE_AS_UTF_8 = "save it as UTF-8 (for example: iconv -f {encoding} -t UTF-8)"


@dataclass(frozen=True)
class CsvRows:
    """The rows of one CSV file.

    Attributes:
        places: a row each: `line` UInt64, the physical line (from 1) where the row begins; `malformed` String, what
            is wrong with it, or null.
        cells: the same rows, one String column for each column of the header; all null where the row is malformed.
            A line break inside a quoted field is a line feed here.
    """

    places: pl.DataFrame
    cells: pl.DataFrame


def read_csv_header(head: bytes, *, name: str, delimiter: str | None) -> tuple[str, ...]:
    """Read the column names from the first bytes of a file.

    Args:
        head: the file's first `HEADER_BYTES` bytes, or all of them.
        name: the file as errors show it.
        delimiter: one character, or None to tell it from the header.

    Raises:
        DataError: no header, not UTF-8, or names that are missing or appear twice.
    """
    records = _records(_lines(_whole_lines(head, name), name))
    return _header(records, name, delimiter or _delimiter(records), headless=False)


def _whole_lines(head: bytes, name: str) -> bytes:
    if len(head) < HEADER_BYTES:
        return head
    whole = head[: head.rfind(b"\n") + 1]
    if not whole:
        raise DataError("the first line does not end", where=f"{name}, line 1", remedy="check that it is a CSV file")
    return whole


def is_headless(head: bytes, *, name: str) -> bool:
    """Tell whether the first record holds an address and so is no header."""
    records = _records(_lines(_whole_lines(head, name), name))
    return "@" in records.item(0, "text") if records.height else False


def read_csv_rows(data: bytes, *, name: str, delimiter: str | None, headless: bool = False) -> CsvRows:
    """Read a whole CSV file (RFC 4180, with its header in the first line that is not blank).

    Blank lines are no rows. A record with too many or too few fields, or with a quotation mark inside an unquoted
    field, is a malformed row, and the rest goes on.

    Args:
        data: the file's content.
        name: the file as errors show it.
        delimiter: one character, or None to tell it from the header.
        headless: True when the first record is a row as well; the columns are then `column_1` and so on.

    Raises:
        DataError: what would lose rows: another encoding, NUL, CR alone as line end, an unclosed quote, a file cut
            in the middle of its last row; or a header that is missing, incomplete or has a name twice.
    """
    records = _records(_lines(data, name))
    delimiter = delimiter or _delimiter(records)
    header = _header(records, name, delimiter, headless=headless)
    judged = _judge(records.slice(0 if headless else 1), delimiter, width=len(header))
    _refuse_unclosed_quotes(judged, name)
    if not data.endswith(b"\n"):
        _refuse_a_cut_end(judged, name, width=len(header))
    places = judged.select("line", "malformed")
    cells = _parse(judged.filter(pl.col("malformed").is_null()).get_column("text"), header, name, delimiter)
    return CsvRows(places, _align(cells, places.get_column("malformed").is_null()))


def _lines(data: bytes, name: str) -> pl.DataFrame:
    """The physical lines: `line` UInt64 from 1, `text` String without its line end."""
    _refuse_other_encodings(data, name)
    try:
        lines = pl.read_lines(data.removeprefix(codecs.BOM_UTF8), name="text")
    except pl.exceptions.ComputeError:
        raise _not_utf_8(data, name) from None
    return lines.with_columns(line=pl.int_range(1, pl.len() + 1, dtype=pl.UInt64))


def _refuse_other_encodings(data: bytes, name: str) -> None:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError("the file is UTF-16", where=f"{name}, line 1", remedy=SAVE_AS_UTF_8.format(encoding="UTF-16"))
    if (nul := data.find(b"\0")) >= 0:
        remedy = SAVE_AS_UTF_8.format(encoding="UTF-16LE") + " if it is UTF-16, or remove the NUL characters"
        raise DataError("the file contains NUL characters", where=_place(data, nul, name), remedy=remedy)
    if b"\n" not in data and b"\r" in data.rstrip(b"\r"):
        remedy = "give it line feeds (for example: tr '\\r' '\\n')"
        raise DataError("the lines end with a carriage return alone", where=f"{name}, line 1", remedy=remedy)


def _not_utf_8(data: bytes, name: str) -> DataError:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        what = f"the file is not UTF-8: byte 0x{data[error.start]:02X} does not belong there"
        remedy = SAVE_AS_UTF_8.format(encoding="WINDOWS-1252, or what it really is,")
        return DataError(what, where=_place(data, error.start, name), remedy=remedy)
    return DataError("the file cannot be read as lines", where=name, remedy="check that it is a CSV file")


def _place(data: bytes, offset: int, name: str) -> str:
    line = data.count(b"\n", 0, offset) + 1
    return f"{name}, line {line}"


def _records(lines: pl.DataFrame) -> pl.DataFrame:
    """Join the lines that a quoted line break divides, and leave out blank ones.

    A record is open at the end of a line when the quotation marks so far are odd in number.

    Returns:
        `line` where the record begins, `last` where it ends, `text`, `quotes` (their number).
    """
    quotes = pl.col("text").str.count_matches('"', literal=True).cast(pl.UInt64)
    lines = lines.with_columns(quotes=quotes, last=pl.col("line"))
    if lines.get_column("quotes").sum():
        lines = _join_open_lines(lines)
    blank = (pl.col("line") == pl.col("last")) & (pl.col("text").str.strip_chars(" \r") == "")
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


def _delimiter(records: pl.DataFrame) -> str:
    """The most frequent of the usual delimiters in the header, outside quotes; a comma when there is none."""
    if records.is_empty():
        return ","
    bare = records.select(pl.col("text").head(1).str.replace_all('"[^"]*"', "")).item()
    return max(DELIMITERS, key=bare.count)


def _header(records: pl.DataFrame, name: str, delimiter: str, *, headless: bool) -> tuple[str, ...]:
    if records.is_empty():
        raise DataError("the file is empty", where=name, remedy="give it at least a header line with the column names")
    where = f"{name}, line {records.item(0, 'line')}"
    try:
        names = next(csv.reader(io.StringIO(records.item(0, "text"), newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise DataError(f"the header cannot be read: {error}", where=where, remedy="close its quotes") from None
    if headless:
        return tuple(f"column_{number}" for number in range(1, len(names) + 1))
    names = [column.strip() for column in names]
    if "" in names:
        raise DataError(f"column {names.index('') + 1} has no name", where=where, remedy="name it, or remove it")
    if twice := sorted({column for column in names if names.count(column) > 1}):
        what = f"the header has a name twice: {', '.join(twice)}"
        raise DataError(what, where=where, remedy="give every column a name of its own")
    return tuple(names)


def _judge(records: pl.DataFrame, delimiter: str, *, width: int) -> pl.DataFrame:
    """Add `fields` (their number), `loose` (a quotation mark in an unquoted field) and `malformed` (why, or null).

    Quoted fields are reduced to one quotation mark each, so the delimiters that are left are real ones, and a mark
    with anything but a delimiter at its side is loose.
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
        .then(pl.lit("a quotation mark stands in a field that is not quoted as a whole"))
        .when(pl.col("bare").str.contains("\r", literal=True))
        .then(pl.lit("a carriage return stands in a field that is not quoted"))
        .when(pl.col("fields") != width)
        .then(counted)
    )
    return records.with_columns(malformed=malformed).drop("bare")


def _refuse_unclosed_quotes(records: pl.DataFrame, name: str) -> None:
    """A loose mark in a record of several lines has swallowed line ends, and nobody can tell how many were rows."""
    unclosed = (pl.col("quotes") % 2 == 1) | (pl.col("loose") & (pl.col("last") > pl.col("line")))
    lines = records.filter(unclosed).get_column("line")
    if lines.len():
        remedy = 'close the quote; a quotation mark inside a quoted field is written twice ("")'
        raise DataError("a quote is opened and not closed", where=f"{name}, line {lines[0]}", remedy=remedy)


def _refuse_a_cut_end(records: pl.DataFrame, name: str, *, width: int) -> None:
    end = records.tail(1)
    if not end.is_empty() and end.item(0, "fields") < width:
        what = "the file ends in the middle of a row, without a line break: it looks cut"
        remedy = "fetch it again, or, if it is complete, end it with a line break"
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
            what = f"the parser found {blocks[-1].height} rows where there are {block.len()}"
            raise DataError(what, where=name, remedy=CHECK_QUOTES)
    return pl.concat(blocks)


def _align(cells: pl.DataFrame, sound: pl.Series) -> pl.DataFrame:
    """Put rows of nulls where the malformed ones were."""
    if cells.height == sound.len():
        return cells
    position = pl.select(pl.when(sound).then(sound.cum_sum().cast(pl.Int64) - 1)).to_series()
    return cells.select(pl.all().gather(position))
