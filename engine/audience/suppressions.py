"""Suppression files: who must not be mailed."""

from pathlib import Path

import polars as pl

from engine.audience.addresses import judge_addresses
from engine.audience.csv_rows import HEADER_BYTES, is_headless, read_csv_rows
from engine.audience.sources import CSV_DELIMITERS, Source, find_sources, unreadable
from engine.audience.spec import SuppressionSpec
from engine.errors import DataError

SUPPRESSIONS_SCHEMA = {"key": pl.String, "source": pl.String}
_ADDRESS_NAMES = ("email", "address")


def read_suppressions(
    suppression: SuppressionSpec, workspace: Path, *, ignore_topics: bool
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Read all suppression files of a campaign.

    What cannot be read stops the plan, so that nobody is mailed by mistake.

    A file is CSV, TSV or Parquet with a column `email` or `address` (in any case), or else the first column that
    holds an @; a CSV file may have no header and just an address on each line. Its columns `reason` and `topic` are
    optional. An entry with a topic applies to campaigns of that topic alone (in any case), an entry without one to
    all. An entry whose address is none cannot match anybody: it is left out, and a note counts such entries.

    Args:
        suppression: the files (paths or globs) and the campaign's topic.
        workspace: where the paths begin.
        ignore_topics: True for transactional campaigns: only entries without a topic apply.

    Returns:
        `key` (each once, from the first entry that names it) and `source` (a person's words: where it is from and its
        reason); and the notes.

    Raises:
        DataError: a file is missing or damaged, or has no column of addresses.
    """
    topic = None if ignore_topics else suppression.topic
    sources = [source for pattern in suppression.files for source in find_sources(pattern, workspace)]
    parts, notes = [pl.DataFrame(schema=SUPPRESSIONS_SCHEMA)], []
    for source in sources:
        entries = _read_entries(source)
        judged = entries.hstack(judge_addresses(entries.get_column("raw")))
        notes += _note_faults(judged, source)
        applying = judged.filter(pl.col("key").is_not_null() & _applies(topic))
        parts.append(applying.select("key", source=_in_words(source)))
    return pl.concat(parts).unique("key", keep="first", maintain_order=True), tuple(notes)


def _read_entries(source: Source) -> pl.DataFrame:
    """All entries of a file: `line`, and as text or null `raw` (the address), `reason`, `topic`."""
    try:
        lines, cells = _read_csv(source) if source.is_csv else _read_parquet(source)
    except OSError as error:
        raise unreadable(source, error) from error
    cells = cells.select(pl.all().cast(pl.String).str.strip_chars())
    by_name = {column.strip().lower(): column for column in reversed(cells.columns)}
    absent = pl.lit(None, dtype=pl.String)
    texts = {name: pl.col(by_name[name]) if name in by_name else absent for name in ("reason", "topic")}
    address = _address_column(cells, by_name, source)
    return cells.select(pl.col(address).alias("raw"), **texts).with_columns(lines)


def _read_csv(source: Source) -> tuple[pl.Series, pl.DataFrame]:
    data, delimiter = source.path.read_bytes(), CSV_DELIMITERS[source.path.suffix.lower()]
    headless = is_headless(data[:HEADER_BYTES], name=source.name)
    rows = read_csv_rows(data, name=source.name, delimiter=delimiter, headless=headless)
    malformed = rows.places.filter(pl.col("malformed").is_not_null())
    if malformed.height:
        line, what = malformed.row(0)
        remedy = "repair it: a suppression that cannot be read may not be passed over"
        raise DataError(what, where=f"{source.name}, line {line}", remedy=remedy)
    return rows.places.get_column("line"), rows.cells


def _read_parquet(source: Source) -> tuple[pl.Series, pl.DataFrame]:
    try:
        cells = pl.read_parquet(source.path, glob=False, hive_partitioning=False)
    except pl.exceptions.PolarsError as error:
        raise unreadable(source, error) from error
    cells = cells.select(pl.col(pl.String, pl.Categorical, pl.Enum))
    return pl.int_range(1, cells.height + 1, dtype=pl.UInt64, eager=True).alias("line"), cells


def _address_column(cells: pl.DataFrame, by_name: dict[str, str], source: Source) -> str:
    for name in _ADDRESS_NAMES:
        if name in by_name:
            return by_name[name]
    for column in cells:
        if column.str.contains("@", literal=True).any():
            return column.name
    remedy = f"name the column of the addresses email; there are: {', '.join(cells.columns) or 'no text columns'}"
    raise DataError("the suppression file has no column of addresses", where=source.name, remedy=remedy)


def _applies(topic: str | None) -> pl.Expr:
    without_topic = pl.col("topic").fill_null("") == ""
    if topic is None:
        return without_topic
    return without_topic | (pl.col("topic").str.to_lowercase() == topic.strip().lower())


def _in_words(source: Source) -> pl.Expr:
    place = pl.format("{} line {}", pl.lit(source.name), "line")
    reason = pl.when(pl.col("reason").fill_null("") != "").then(pl.format(": {}", "reason")).otherwise(pl.lit(""))
    return pl.concat_str(place, reason)


def _note_faults(judged: pl.DataFrame, source: Source) -> list[str]:
    faulty = judged.filter(pl.col("key").is_null()).get_column("line")
    if faulty.is_empty():
        return []
    count = f"{faulty.len()} of {judged.height} entries hold no address"
    return [f"{source.name}: {count} and were passed over, the first in line {faulty[0]}"]
