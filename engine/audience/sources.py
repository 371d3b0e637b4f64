"""The audience's files: finding them, and reading their rows."""

import glob
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from engine.audience.csv_rows import HEADER_BYTES, read_csv_header, read_csv_rows
from engine.errors import DataError, nearest

# Suffix -> delimiter; None: told from the header.
CSV_DELIMITERS: dict[str, str | None] = {".csv": None, ".tsv": "\t"}
FORMATS = (*CSV_DELIMITERS, ".parquet")
# What Polars takes for many columns wherever a column is named.
_PATTERN = re.compile(r"\*|\^.*\$", re.DOTALL)


@dataclass(frozen=True)
class Source:
    """One file of the audience, as it was when it was found.

    Attributes:
        path: where it is.
        name: as it is shown: relative to the workspace where it lies inside it.
        size_bytes: its size.
        mtime_ns: when it was last changed, in nanoseconds since 1970.
    """

    path: Path
    name: str
    size_bytes: int
    mtime_ns: int

    @property
    def is_csv(self) -> bool:
        """Whether it is text whose cells have no types."""
        return self.path.suffix.lower() in CSV_DELIMITERS


@dataclass(frozen=True)
class SourceRows:
    """All rows of the sources, in the sources' order; both frames have one row for each.

    Attributes:
        places: `row` UInt64 (from 1, over all sources), `file` String (the source's name), `line` UInt64 (the line
            of the file where the row begins; for Parquet the row's number from 1), `malformed` String (why the row
            cannot be read, or null).
        cells: the columns under their own names; String for CSV, the file's own types for Parquet.
    """

    places: pl.DataFrame
    cells: pl.DataFrame

    def places_at(self, rows: pl.Series) -> pl.DataFrame:
        """The `file` and `line` of rows, by their numbers and in their order."""
        return self.places.select(pl.col("file", "line").gather(rows - 1))

    def cells_at(self, rows: pl.Series, columns: Sequence[str]) -> pl.DataFrame:
        """The cells of rows, by their numbers and in their order."""
        return self.cells.select(pl.col(*columns).gather(rows - 1)) if columns else pl.DataFrame(height=rows.len())


def find_sources(source: str, workspace: Path) -> tuple[Source, ...]:
    """Find the file, or the files of a glob pattern, sorted by name.

    Args:
        source: path or glob, relative to the workspace or absolute.
        workspace: the workspace's folder.

    Raises:
        DataError: there is no such file, nothing matches, or the format is not supported.
    """
    path = workspace / source
    if path.is_file():
        return (_describe(path, workspace),)
    if not glob.has_magic(source):
        raise _no_such_file(path, source)
    found = sorted(Path(match) for match in glob.glob(str(path), recursive=True) if Path(match).is_file())  # noqa: PTH207 - Path.glob refuses absolute patterns
    if not found:
        raise DataError(f"no file matches {source}", where=str(workspace), remedy="check the pattern")
    return tuple(_describe(path, workspace) for path in found)


def _no_such_file(path: Path, source: str) -> DataError:
    if "://" in source:
        return DataError(f"{source} is not a file", remedy="give the path of a file, relative to the workspace")
    if not path.parent.is_dir():
        return DataError(f"there is no folder {path.parent}", where=source, remedy="check the path")
    files = sorted(item.name for item in path.parent.iterdir() if item.suffix.lower() in FORMATS)
    what = f"there is no file {source}"
    close = get_close_matches(path.name, files, n=1) or files[:10]
    remedy = f"in that folder there is: {', '.join(close)}" if close else "that folder has no CSV, TSV or Parquet file"
    return DataError(what, where=str(path.parent), remedy=remedy)


def _describe(path: Path, workspace: Path) -> Source:
    name = path.relative_to(workspace).as_posix() if path.is_relative_to(workspace) else str(path)
    if path.suffix.lower() not in FORMATS:
        what = f"the format {path.suffix or 'of a file without suffix'} is not supported"
        raise DataError(what, where=name, remedy=f"write it as one of: {', '.join(FORMATS)}")
    state = path.stat()
    return Source(path, name, state.st_size, state.st_mtime_ns)


def read_columns(sources: Sequence[Source]) -> tuple[str, ...]:
    """Read the column names, without the rows, in the order of the first source.

    Raises:
        DataError: a file cannot be read, the sources do not have the same columns, or a name cannot be used.
    """
    first, *others = ((source, _columns_of(source)) for source in sources)
    for source, columns in others:
        if different := sorted(set(first[1]) ^ set(columns)):
            what = f"{source.name} and {first[0].name} do not have the same columns: {', '.join(different)}"
            raise DataError(what, where=source.name, remedy="give all files of an audience the same columns")
    for column in first[1]:
        if _PATTERN.fullmatch(column):
            what = f"the column name {column} cannot be told from a pattern"
            raise DataError(what, where=first[0].name, remedy="rename the column")
    return first[1]


def _columns_of(source: Source) -> tuple[str, ...]:
    try:
        if not source.is_csv:
            return tuple(pl.read_parquet_schema(source.path))
        with source.path.open("rb") as file:
            head = file.read(HEADER_BYTES)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise unreadable(source, error) from error
    return read_csv_header(head, name=source.name, delimiter=CSV_DELIMITERS[source.path.suffix.lower()])


def read_rows(sources: Sequence[Source], columns: Collection[str]) -> SourceRows:
    """Read every row of the sources, of the given columns only.

    Raises:
        DataError: a file cannot be read completely and with certainty, has changed since it was found, or has other
            types than the first.
    """
    order = [column for column in read_columns(sources) if column in columns]
    parts = [_read_one(source, order) for source in sources]
    places = pl.concat([part.places for part in parts])
    try:
        cells = pl.concat([part.cells for part in parts], how="vertical_relaxed")
    except pl.exceptions.PolarsError as error:
        remedy = "give each column the same type in all files"
        raise DataError(f"the files' types differ: {error}", where=sources[0].name, remedy=remedy) from error
    return SourceRows(places.with_columns(row=pl.int_range(1, pl.len() + 1, dtype=pl.UInt64)), cells)


def _read_one(source: Source, columns: list[str]) -> SourceRows:
    try:
        places, cells = _read_csv(source) if source.is_csv else _read_parquet(source, columns)
        state = source.path.stat()
    except OSError as error:
        raise unreadable(source, error) from error
    if (state.st_size, state.st_mtime_ns) != (source.size_bytes, source.mtime_ns):
        what = "the file was changed while the audience was planned"
        raise DataError(what, where=source.name, remedy="wait until it is complete, then try again")
    file = pl.lit(source.name, dtype=pl.String)
    return SourceRows(places.select(file.alias("file"), "line", "malformed"), cells.select(columns))


def _read_csv(source: Source) -> tuple[pl.DataFrame, pl.DataFrame]:
    delimiter = CSV_DELIMITERS[source.path.suffix.lower()]
    rows = read_csv_rows(source.path.read_bytes(), name=source.name, delimiter=delimiter)
    return rows.places, rows.cells


def _read_parquet(source: Source, columns: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    try:
        cells = pl.read_parquet(source.path, columns=columns, glob=False, hive_partitioning=False)
    except pl.exceptions.PolarsError as error:
        raise unreadable(source, error) from error
    line = pl.int_range(1, cells.height + 1, dtype=pl.UInt64)
    return pl.select(line=line, malformed=pl.repeat(None, cells.height, dtype=pl.String)), cells


def unreadable(source: Source, error: Exception) -> DataError:
    """The error that says that a file is damaged or not to be had."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError(f"the file cannot be read: {reason}", where=source.name, remedy="check that it is complete")


def refuse_unknown_column(column: str, *, columns: Sequence[str], key: str, hint: str = "") -> None:
    """Check that a column named in campaign.toml is there.

    Args:
        column: the name to look for.
        columns: those that the audience has.
        key: the place in campaign.toml that names it, such as `[audience] required`.
        hint: words to put before the remedy.

    Raises:
        DataError: it is not there.
    """
    if column not in columns:
        what = f"{key} names the column {column}, which the audience does not have"
        raise DataError(what, where=f"campaign.toml, {key}", remedy=hint + nearest(column, list(columns)))
