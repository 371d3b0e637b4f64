"""Who must not be mailed: suppression files and the ledger's own list, set aside by partition."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from engine.audience.addresses import judge_addresses
from engine.audience.partitions import HASH, Partitions
from engine.audience.pipeline import work_through
from engine.audience.scratch import Scratch, Set
from engine.audience.sources import Source, find_sources
from engine.audience.spec import SuppressionSpec
from engine.audience.tables import Batch, Reading, Table, open_table, read_batches
from engine.errors import DataError
from engine.ledger.suppressions import Suppression

_ADDRESS_NAMES = ("email", "address")
_SAMPLE_ROWS = 10_000
_LEDGER = "the ledger"
# Who bounced cannot be reached, and who complained must not be, by any mail: a topic does not limit these.
_REGARDLESS_OF_TOPIC = "(?i)bounce|complain"
ENTRIES_SCHEMA = {HASH: pl.UInt64, "key": pl.String, "line": pl.UInt64, "reason": pl.String}


@dataclass(frozen=True, slots=True)
class Suppressions:
    """What keeps addresses from being mailed.

    Attributes:
        shelves: `ENTRIES_SCHEMA` by partition; the labels are the names of their sources.
        notes: sentences for people.
    """

    shelves: Scratch[str]
    notes: tuple[str, ...]

    def take(self, partition: int) -> pl.DataFrame:
        """Read the entries of a partition: `HASH`, `key`, and `source` (where it is from, and its reason)."""
        parts = [entries.select(HASH, "key", source=_in_words(name)) for name, entries in self.shelves.take(partition)]
        nothing = pl.DataFrame(schema={HASH: pl.UInt64, "key": pl.String, "source": pl.String})
        return pl.concat([nothing, *parts])


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a file has what: names of its columns."""

    address: str
    reason: str | None
    topic: str | None


def set_aside_suppressions(  # noqa: PLR0913 - named one by one
    suppression: SuppressionSpec,
    listed: Iterable[Sequence[Suppression]],
    *,
    workspace: Path,
    downloads: Path | None,
    partitions: Partitions,
    shelves: Scratch[str],
    ignore_topics: bool,
) -> Suppressions:
    """Read all suppression files of a campaign, and the ledger's list.

    What cannot be read stops the plan, so that nobody is mailed by mistake.

    A file is of any format that an audience may have, with a column `email` or `address` (in any case), or else the
    first column that holds an @; a CSV file may have no header and just an address on each line. Its columns `reason`
    and `topic` are optional. An entry with a topic applies to campaigns of that topic alone (in any case), unless its
    reason is a bounce or a complaint; an entry without one applies to all. An entry whose address is none cannot match
    anybody: it is left out, and a note counts such entries.

    Args:
        suppression: the files (as in `[audience] source`) and the campaign's topic.
        listed: the ledger's list, block by block.
        workspace: where the paths begin.
        downloads: where copies of objects go.
        partitions: how the audience is divided.
        shelves: where to put the entries.
        ignore_topics: True for transactional campaigns: opt-outs from a topic do not apply.

    Raises:
        DataError: a file is missing or damaged, or has no column of addresses.
    """
    topic = None if ignore_topics else suppression.topic
    sources = find_sources(suppression.files, workspace, downloads=downloads) if suppression.files else ()
    notes: list[str] = []
    for source in sources:
        notes += _set_aside_file(source, topic, partitions, shelves)
    for block in listed:
        entries = pl.DataFrame(
            {
                "key": [item.key for item in block],
                "topic": [item.topic for item in block],
                "reason": [f"{item.reason}, {item.source}" for item in block],
            },
            schema={"key": pl.String, "topic": pl.String, "reason": pl.String},
        ).with_columns(line=pl.lit(0, dtype=pl.UInt64))
        for part, packed in _divide(entries, topic, partitions):
            shelves.put(part, packed, _LEDGER)
    return Suppressions(shelves, tuple(notes))


def _set_aside_file(source: Source, topic: str | None, partitions: Partitions, shelves: Scratch[str]) -> list[str]:
    table = open_list(source)
    columns = find_columns(table)
    wanted = [column for column in dict.fromkeys((columns.address, columns.reason, columns.topic)) if column]
    types = dict.fromkeys(wanted, pl.String())

    def work(batch: Batch) -> tuple[list[tuple[int, Set]], int, int | None, int]:
        entries = _read_entries(batch, columns, source)
        keys = judge_addresses(entries.get_column("raw")).get_column("key")
        faulty = entries.filter(keys.is_null()).get_column("line")
        sound = entries.with_columns(keys).drop_nulls("key")
        return list(_divide(sound, topic, partitions)), entries.height, faulty.min(), faulty.len()  # type: ignore[return-value] # a line or None

    entries = faults = 0
    first_fault: int | None = None
    for parts, height, fault, faulty_rows in work_through(read_batches([table], wanted, types), work):
        for part, packed in parts:
            shelves.put(part, packed, source.name)
        entries, faults = entries + height, faults + faulty_rows
        first_fault = fault if first_fault is None else first_fault
    if not faults:
        return list(table.notes)
    count = f"{faults} of {entries} entries hold no address"
    return [*table.notes, f"{source.name}: {count} and were passed over, the first in line {first_fault}"]


def open_list(source: Source) -> Table:
    """Open a list; one whose first row holds an address has no header."""
    table = open_table(source, Reading())
    return open_table(source, Reading(has_header=False)) if table.holds_address else table


def find_columns(table: Table) -> Columns:
    """Tell where a list has what.

    Raises:
        DataError: it has no column of addresses.
    """
    by_name = {column.strip().lower(): column for column in reversed(list(table.columns))}
    address = next((by_name[name] for name in _ADDRESS_NAMES if name in by_name), None) or _column_with_at(table)
    return Columns(address, by_name.get("reason"), by_name.get("topic"))


def _column_with_at(table: Table) -> str:
    texts = [column for column, dtype in table.columns.items() if dtype == pl.String]
    sample = (
        next(read_batches([table], texts, table.columns)).load().cells.head(_SAMPLE_ROWS) if texts else pl.DataFrame()
    )
    for column in sample:
        if column.str.contains("@", literal=True).any():
            return column.name
    remedy = f"name the column of the addresses email; there are: {', '.join(texts) or 'no text columns'}"
    raise DataError("the suppression file has no column of addresses", where=table.source.name, remedy=remedy)


def _read_entries(batch: Batch, columns: Columns, source: Source) -> pl.DataFrame:
    """The entries of a batch: `line`, and as text or null `raw` (the address), `reason`, `topic`."""
    rows = batch.load()
    malformed = rows.places.filter(pl.col("malformed").is_not_null())
    if malformed.height:
        line, what = malformed.row(0)
        remedy = "repair it: a suppression that cannot be read may not be passed over"
        raise DataError(what, where=f"{source.name}, line {line}", remedy=remedy)
    absent = pl.lit(None, dtype=pl.String)
    texts = {
        name: pl.col(column).str.strip_chars() if column else absent
        for name, column in (("raw", columns.address), ("reason", columns.reason), ("topic", columns.topic))
    }
    return rows.cells.select(**texts).with_columns(rows.places.get_column("line"))


def _divide(entries: pl.DataFrame, topic: str | None, partitions: Partitions) -> Iterator[tuple[int, Set]]:
    """Divide the entries (`key`, `topic`, `reason`, `line`) that apply."""
    applying = entries.filter(_applies(topic))
    hashes = partitions.hash(applying.get_column("key"))
    return partitions.split(applying.with_columns(hashes).select(*ENTRIES_SCHEMA))


def _applies(topic: str | None) -> pl.Expr:
    to_all = (pl.col("topic").fill_null("") == "") | pl.col("reason").fill_null("").str.contains(_REGARDLESS_OF_TOPIC)
    return to_all if topic is None else to_all | (pl.col("topic").str.to_lowercase() == topic.strip().lower())


def applies(item: Suppression, topic: str | None) -> bool:
    """Tell whether one entry of the ledger's list applies to a campaign, by the same rules.

    Args:
        item: the entry.
        topic: the campaign's; None where opt-outs from topics do not apply.
    """
    if not item.topic or re.search(_REGARDLESS_OF_TOPIC, f"{item.reason}, {item.source}"):
        return True
    return topic is not None and item.topic.lower() == topic.strip().lower()


def _in_words(name: str) -> pl.Expr:
    place = pl.lit(name) if name == _LEDGER else pl.format("{} line {}", pl.lit(name), "line")
    reason = pl.when(pl.col("reason").fill_null("") != "").then(pl.format(": {}", "reason")).otherwise(pl.lit(""))
    return pl.concat_str(place, reason)
