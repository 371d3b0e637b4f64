"""Suppression list files: read them into entries, and write them for people and other systems."""

import codecs
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import polars as pl
from msgspec import Struct

from engine.audience.lists.list_entries import read_entries
from engine.audience.lists.list_rows import list_wanted, read_list_rows
from engine.audience.lists.list_tables import ListTable, open_lists
from engine.audience.reading.sources import find_sources
from engine.audience.reading.tables import read_batches
from engine.csv_formulas import defuse_formulas
from engine.errors import DataError, UsageError
from engine.ledger.suppressed.reasons import Reason
from engine.ledger.suppressed.suppression_scope import OF_ALL_MAIL
from engine.ledger.suppressed.suppressions import Suppression, SuppressionProof, limit_topic
from engine.read_limits import DEFAULT_LIMITS, ReadLimits
from engine.store.files import PRIVATE_FILE
from engine.system.given_paths import shorten_path
from engine.system.temporary import make_temporary_folder

LONGEST_TOPIC = 128  # characters, as the ledger keeps them
EXPORT_SCHEMA = {
    "email": pl.String, "topic": pl.String, "reason": pl.String, "source": pl.String, "at": pl.String,
    "event": pl.String, "proof": pl.String,
}  # fmt: skip


class InvalidEntry(Struct, frozen=True):
    """An entry that matches no address, or whose topic is too long."""

    where: str
    what: str


class Block(Struct, frozen=True):
    """Some entries of a list."""

    entries: list[Suppression]
    invalid: list[InvalidEntry]
    notes: tuple[str, ...] = ()


class ImportOptions(Struct, frozen=True, kw_only=True):
    """Settings of an import; they override what the list says.

    Attributes:
        topic: of entries without a topic; empty for all mail.
        reason: of all entries; None for the reasons in the list, or else `manual`.
        source: where the entries come from; None for the file's name.
        at: the time to record for the entries.
        limits: how large a file may be.
    """

    topic: str
    reason: str | None
    source: str | None
    at: datetime
    limits: ReadLimits = DEFAULT_LIMITS


def read_suppression_list(place: str, workspace: Path, options: ImportOptions) -> Iterator[Block]:
    """Read a list of any format that an audience may have; see `open_lists` and `read_entries`.

    Args:
        place: a path, a glob pattern or s3://.
        workspace: relative paths begin there.
        options: settings that override the list.

    Raises:
        DataError: a file is missing or damaged, has no column of addresses, or contradicts the options.
    """
    with make_temporary_folder() as downloads:
        for file in find_sources(place, workspace, downloads=downloads, limits=options.limits):
            tables = list(open_lists(file))  # all of them, before an entry of the first is added
            for opened in tables:
                yield Block([], [], opened.notes)
                yield from _read_table(opened, options)


def _read_table(opened: ListTable, options: ImportOptions) -> Iterator[Block]:
    name, wanted = opened.table.source.name, list_wanted(opened)
    for batch in read_batches([opened.table], wanted, dict.fromkeys(wanted, pl.String())):
        loaded = batch.load()
        rows = read_list_rows(loaded, opened)
        malformed = loaded.places.filter(pl.col("malformed").is_not_null()).select("line", fault="malformed")
        topic = pl.coalesce("topic", pl.lit(options.topic))
        entries = rows.entries.with_columns(given="topic", topic=topic)
        _refuse_conflicts(entries, name, options)
        too_long = entries.get_column("topic").str.len_chars() > LONGEST_TOPIC
        words = pl.lit(f"the topic has more than {LONGEST_TOPIC} characters")
        invalid = pl.concat([malformed, rows.faults, entries.filter(too_long).select("line", fault=words)])
        yield Block(
            _to_suppressions(entries.filter(~too_long), name, options),
            [InvalidEntry(f"{name}, line {line}", fault) for line, fault in invalid.sort("line").iter_rows()],
        )


def _to_suppressions(entries: pl.DataFrame, name: str, options: ImportOptions) -> list[Suppression]:
    reason = pl.coalesce(pl.lit(options.reason, dtype=pl.String), "known", "reason", pl.lit(str(Reason.MANUAL)))
    source = options.source or name
    # An entry that rests on a mail without a token keeps that mark when it is imported again.
    proven = pl.when(pl.col("proof").is_in([str(proof) for proof in SuppressionProof])).then("proof")
    rows = entries.select("key", "address", "topic", reason.alias("reason"), proven)
    return [
        Suppression(key, limit_topic(topic, reason), reason, source, options.at, None, address, proof)
        for key, address, topic, reason, proof in rows.iter_rows()
    ]


def _refuse_conflicts(entries: pl.DataFrame, name: str, options: ImportOptions) -> None:
    """Check that the options do not change the scope of an entry that has its own topic or reason.

    Raises:
        DataError: an entry is of another topic than the option's, or its reason is for all mail and the option's is
            not, or the other way around.
    """
    if options.topic:
        other = entries.filter(pl.col("given").str.to_lowercase() != options.topic.lower())
        if other.height:
            raise DataError(
                f"the entry has the topic {other['given'].item(0)}, but --topic is {options.topic}",
                where=f"{name}, line {other['line'].item(0)}",
                remedy="remove --topic to use the topics in the list, or remove the column topic from the list",
            )
    if options.reason:
        is_of_all_mail = pl.col("named").is_in([str(reason) for reason in OF_ALL_MAIL])
        conflict = is_of_all_mail != (options.reason in OF_ALL_MAIL)
        other = entries.filter((pl.col("topic") != "") & pl.col("named").is_not_null() & conflict)
        if other.height:
            named = other["named"].item(0)
            raise DataError(
                f"the entry's reason is {named}, but --reason is {options.reason}: only one is limited to a topic",
                where=f"{name}, line {other['line'].item(0)}",
                remedy="remove --reason to use the reasons in the list, or split the list by reason",
            )


def to_frame(entries: Iterable[Suppression]) -> pl.DataFrame:
    """Return entries as `EXPORT_SCHEMA`; the address as it was received, if known."""
    rows = [(s.address or s.key, s.topic, s.reason, s.source, s.at.isoformat(), s.event, s.proof) for s in entries]
    return pl.DataFrame(rows, schema=EXPORT_SCHEMA, orient="row")


def export_suppressions(blocks: Iterable[Sequence[Suppression]], path: Path) -> int:
    """Write a list as Parquet for .parquet and .pq, else as CSV in UTF-8 with a byte order mark and defused formulas.

    Only the owner can read the file. It replaces an existing file only when it is complete.

    Returns:
        The number of entries.

    Raises:
        UsageError: it cannot be written.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        with os.fdopen(descriptor, "wb") as file:
            rows = (_write_parquet if path.suffix in (".parquet", ".pq") else _write_csv)(blocks, file)
        aside.rename(path)
    except OSError as error:
        raise UsageError(
            f"{shorten_path(path)} cannot be written: {error.strerror}",
            where="FILE",
            remedy="name a file in a folder that you may write to",
        ) from error
    finally:
        with suppress(OSError):  # it was renamed, or never created
            aside.unlink()
    return rows


def _write_csv(blocks: Iterable[Sequence[Suppression]], file: object) -> int:
    file.write(codecs.BOM_UTF8)  # type: ignore[attr-defined] # a binary file
    pl.DataFrame(schema=EXPORT_SCHEMA).write_csv(file)  # type: ignore[call-overload] # as above
    rows = 0
    for block in blocks:
        frame = to_frame(block)
        defuse_formulas(frame).write_csv(file, include_header=False)  # type: ignore[call-overload] # as above
        rows += frame.height
    return rows


def _write_parquet(blocks: Iterable[Sequence[Suppression]], file: object) -> int:
    frames = [pl.DataFrame(schema=EXPORT_SCHEMA), *(to_frame(block) for block in blocks)]
    whole = pl.concat(frames)
    whole.write_parquet(file)  # type: ignore[arg-type] # a binary file
    return whole.height


def read_one_entry(text: str, where: str = "ADDRESS") -> tuple[str, str | None]:
    """Return the key and the address (None for a domain) of one address or domain that a person typed.

    Raises:
        DataError: it is not one address or one domain.
    """
    read = read_entries(pl.Series([text], dtype=pl.String))
    key, address, fault = read.select("key", "address", "fault").row(0)
    if key is None or read.height > 1:
        why = fault or ("it has more than one address" if read.height > 1 else "it is empty")
        raise DataError(f"{text!r} is not an address: {why}", where=where, remedy="check its spelling")
    return key, address
