"""Text files that contain only addresses: one or several per line."""

import re
from collections.abc import Iterator, Sequence
from functools import partial

import polars as pl

from engine.audience.lists.list_entries import read_entries
from engine.audience.reading.sources import AudienceSource
from engine.audience.reading.tables import Rows, Table
from engine.audience.reading.text_files.text_blocks import read_text
from engine.audience.reading.text_files.text_encoding import detect_encoding, is_utf_8
from engine.errors import DataError

COLUMN = "line"
_SEPARATOR_LINE = "(?i)^sep=.$"  # written by Excel above the first row
_FIRST_BYTES = 1 << 16  # nearly always have the first line
_FIELDS = '[,;|\t"]+'


def begins_with_address(source: AudienceSource) -> bool:
    """Return whether the first line that is not blank contains an @: then it is an entry, not a header."""
    encoding = detect_encoding(source.path, name=source.name, declared=None, lenient=False, limits=source.limits)
    blocks = read_text(
        source.path,
        encoding,
        name=source.name,
        quoted=False,
        lenient=False,
        block_bytes=_FIRST_BYTES,
        limits=source.limits,
    )
    for block in blocks:
        for line in block.data.split(b"\n", 100):
            if line.strip() and re.match(_SEPARATOR_LINE.encode(), line.strip()) is None:
                return b"@" in line
    return False


def open_lines(source: AudienceSource) -> Table:
    """Open a text file without a header: each line is one cell, which `read_entries` splits.

    A line may have other fields next to its address, such as a number or a date. They are ignored.

    Raises:
        DataError: a line has several addresses and other fields; raised when a batch is loaded.
    """
    encoding = detect_encoding(source.path, name=source.name, declared=None, lenient=False, limits=source.limits)

    def batches(_: Sequence[str]) -> Iterator[partial[Rows]]:
        for block in read_text(
            source.path, encoding, name=source.name, quoted=False, lenient=False, limits=source.limits
        ):
            yield partial(_load, block.data, block.first_line, source.name)

    notes = (encoding.note,) if encoding.note else ()
    return Table(source, {COLUMN: pl.String()}, notes, (), holds_address=True, batches=batches)


def _load(data: bytes, first_line: int, name: str) -> Rows:
    if not is_utf_8(data):
        line = next(number for number, text in enumerate(data.split(b"\n")) if not is_utf_8(text)) + first_line
        raise DataError(
            "it has a byte that is not a character in the file's encoding",
            where=f"{name}, line {line}",
            remedy="save the file as UTF-8",
        )
    lines = pl.Series(COLUMN, data.decode().split("\n"), dtype=pl.String).str.strip_chars()
    frame = pl.DataFrame([lines]).with_columns(
        line_number=pl.int_range(first_line, first_line + lines.len(), dtype=pl.UInt64)
    )
    frame = frame.filter((pl.col(COLUMN) != "") & ~pl.col(COLUMN).str.contains(_SEPARATOR_LINE))
    places = frame.select(line="line_number", malformed=pl.lit(None, dtype=pl.String))
    return Rows(places, _drop_other_fields(frame, name).to_frame())


def _drop_other_fields(frame: pl.DataFrame, name: str) -> pl.Series:
    """Keep only the address of lines with one address and other fields."""
    lines = frame.get_column(COLUMN)
    at = lines.str.contains(_FIELDS).arg_true()
    whole = read_entries(lines.gather(at))
    unread = whole.filter(pl.col("fault").is_not_null()).get_column("at").unique()
    at = at.gather(unread.sort())
    if at.is_empty():
        return lines
    fields = pl.DataFrame({"at": at, "field": lines.gather(at).str.replace_all(_FIELDS, "\x1f").str.split("\x1f")})
    fields = fields.explode("field", empty_as_null=True, keep_nulls=True)
    fields = fields.with_columns(pl.col("field").str.strip_chars()).filter(
        pl.col("field").str.contains("@", literal=True)
    )
    read = read_entries(fields.get_column("field")).group_by("at").agg(fault=pl.col("fault").drop_nulls().first())
    fields = fields.with_columns(is_entry=read.sort("at").get_column("fault").is_null())
    # A field with spaces is a remark that mentions a person.
    is_broken = ~pl.col("is_entry") & ~pl.col("field").str.contains(r"\s")
    found = fields.group_by("at").agg(
        entries=pl.col("is_entry").sum(), broken=is_broken.any(), entry=pl.col("field").filter("is_entry").first()
    )
    unclear = found.filter(pl.col("entries") > 1).get_column("at")
    if not unclear.is_empty():
        line = int(frame.get_column("line_number").item(unclear.min()))  # type: ignore[arg-type] # a place
        raise DataError(
            "the line has several addresses, and it is unclear which one is suppressed",
            where=f"{name}, line {line}",
            remedy="add a header line with the column names, and call the column with the addresses email",
        )
    clear = found.filter((pl.col("entries") == 1) & ~pl.col("broken"))
    return lines.clone().scatter(clear.get_column("at"), clear.get_column("entry"))
