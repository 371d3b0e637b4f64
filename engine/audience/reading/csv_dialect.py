"""The dialect of a CSV file: its delimiter and quotes, and the line of its header."""

import csv
import io
import re
from collections.abc import Sequence

from msgspec import Struct

from engine.audience.reading.header_names import guess_header, is_same_name, name_each_once
from engine.audience.reading.text_files.text_blocks import mark_damage
from engine.errors import DataError
from engine.read_limits import DEFAULT_LIMITS, ReadLimits

# A file whose header is not complete within this many bytes is not a table.
HEADER_BYTES = 1 << 20
DELIMITERS = (",", ";", "\t", "|")
CHECK_QUOTES = "check the quotation marks, or write the file as Parquet"
_MOST_TITLE_LINES = 50
OTHER_LINE_ENDS = re.compile("[\x1c-\x1e\x85\u2028\u2029]")
_SEPARATOR_LINE = re.compile(rb"sep=(.)\n", re.IGNORECASE)  # written by Excel above a header


class CsvDialect(Struct, frozen=True):
    """The dialect of a CSV file.

    Attributes:
        columns: the columns' names, in the file's order, each once.
        delimiter: one character.
        skip_lines: the number of physical lines before the first row.
        twice: names that the header has more than once; the later ones were renamed.
        nameless: generated names of columns without a name.
    """

    columns: tuple[str, ...]
    delimiter: str
    skip_lines: int
    twice: tuple[str, ...] = ()
    nameless: tuple[str, ...] = ()


def read_dialect(  # noqa: PLR0913 - keyword-only, settings of campaign.toml
    head: bytes,
    *,
    name: str,
    delimiter: str | None = None,
    has_header: bool = True,
    header_row: int | None = None,
    columns: Sequence[str] = (),
    limits: ReadLimits = DEFAULT_LIMITS,
) -> CsvDialect:
    """Detect the dialect of a CSV file from its first lines.

    Args:
        head: UTF-8: the file's first `HEADER_BYTES` bytes, or all of them.
        name: the file's name for errors.
        delimiter: one character, or None to detect it from the first record.
        has_header: whether the first record names the columns.
        header_row: the line (from 1) of that record, if there are lines above it.
        columns: the names of a file without a header; empty for `column_1` and so on.
        limits: the limit on the number of columns.

    Raises:
        DataError: no header, or one that cannot be read; or not as many columns as `columns` names.
    """
    head = mark_damage(head)
    separator = _SEPARATOR_LINE.match(head)
    body, skipped = (head[separator.end() :], 1) if separator else (head, 0)
    if header_row is not None:
        body, skipped = _from_line(head, header_row, name), header_row - 1
    record, line, lines = _first_record(body, name)
    text = record.decode()
    if delimiter is None:
        delimiter = separator[1].decode() if separator else _detect_delimiter(text)
    where = f"{name}, line {line + skipped}"
    names = _split(text, delimiter, where)
    limits.check_columns(len(names), where)
    if other := OTHER_LINE_ENDS.findall(text):
        what = f"the header has a line separator (U+{ord(other[0]):04X}) that no CSV file uses"
        raise DataError(what, where=where, remedy="write the file with LF or CR LF at the end of each line")
    if any("\n" in cell and "@" in cell for cell in names):
        what = "the header has a field of several lines that contains an address: a quote is not closed"
        raise DataError(what, where=where, remedy="close its quotes")
    if not has_header:
        return name_columns(len(names), columns, delimiter, skipped, where)
    return read_header(names, delimiter, skipped + lines)


def _from_line(head: bytes, line: int, name: str) -> bytes:
    """Return the text from a line on, which must not be blank."""
    lines = head.split(b"\n", line - 1)
    if len(lines) < line or not lines[-1].partition(b"\n")[0].strip():
        what = f"[audience] header_row = {line}, but that line is empty"
        raise DataError(what, where=name, remedy="give the number of the line that has the column names")
    return lines[-1]


def find_header(head: bytes, column: str) -> int | None:
    """Find the line with the column names if it is not the first one: below a title, for example.

    Args:
        head: UTF-8: the file's first lines.
        column: a name among them, in upper or lower case; empty to guess from the number of filled fields.
    """
    lines = head.decode(errors="replace").split("\n", _MOST_TITLE_LINES)[:_MOST_TITLE_LINES]
    delimiter = max(DELIMITERS, key=lambda mark: max(line.count(mark) for line in lines))
    rows = [
        (number, [field.strip().strip('"') for field in line.split(delimiter)]) for number, line in enumerate(lines, 1)
    ]
    if not column:
        return guess_header(rows)
    return next((line for line, cells in rows[1:] if any(is_same_name(cell, column) for cell in cells)), None)


def _first_record(body: bytes, name: str) -> tuple[bytes, int, int]:
    """Return the first record that is not blank, the line where it begins, and the number of lines up to its end."""
    begin = line = end = 0
    while begin < len(body):
        line += 1
        end, last = _record_end(body, begin)
        record = body[begin:end].removesuffix(b"\n")
        if record.strip():
            if not last and len(body) >= HEADER_BYTES:
                raise DataError(
                    "the first line does not end", where=f"{name}, line {line}", remedy="check that it is a CSV file"
                )
            return record, line, line + body.count(b"\n", begin, max(end - 1, begin))
        begin = end
    raise DataError("the file is empty", where=name, remedy="give it at least a header line with the column names")


def _record_end(body: bytes, begin: int) -> tuple[int, bool]:
    """Return where a record ends, and whether a line ends there."""
    end = begin
    while True:
        feed = body.find(b"\n", end)
        if feed < 0:
            return len(body), False
        end = feed + 1
        if body.count(b'"', begin, end) % 2 == 0:
            return end, True


def _detect_delimiter(record: str) -> str:
    """Return the most frequent of the usual delimiters outside quotes; a comma if there is none."""
    return max(DELIMITERS, key=re.sub('"[^"]*"', "", record).count)


def _split(record: str, delimiter: str, where: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(record, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise DataError(f"the header cannot be read: {error}", where=where, remedy="close its quotes") from None


def name_columns(width: int, columns: Sequence[str], delimiter: str, skipped: int, where: str) -> CsvDialect:
    """Name the columns of a file without a header.

    Raises:
        DataError: the number of names is not the number of columns.
    """
    if columns and len(columns) != width:
        what = f"[audience] columns names {len(columns)} columns, but the first row has {width} fields"
        raise DataError(what, where=where, remedy="name every column of the file")
    names = tuple(columns) or tuple(f"column_{number}" for number in range(1, width + 1))
    return CsvDialect(names, delimiter, skipped)


def read_header(names: Sequence[str], delimiter: str, skip_lines: int, hidden: Sequence[bool] = ()) -> CsvDialect:
    """Give every column a different name; see `name_each_once`."""
    named = name_each_once(names, hidden)
    return CsvDialect(named.columns, delimiter, skip_lines, named.twice, named.nameless)


def holds_address(dialect: CsvDialect) -> bool:
    """Return whether the header contains an address and so is a row."""
    return any("@" in column for column in dialect.columns)
