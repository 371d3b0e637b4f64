"""Suppression lists as files: read into entries, and written for people and for other systems."""

import codecs
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from engine.audience.addresses import judge_addresses
from engine.audience.export import defuse
from engine.audience.sources import Source, find_sources
from engine.audience.suppressions import find_columns, open_list
from engine.audience.tables import read_batches
from engine.errors import DataError, UsageError
from engine.ledger.suppressions import Reason, Suppression
from engine.store.folder import PRIVATE_FILE

LONGEST_TOPIC = 128  # characters, as the ledger keeps them
EXPORT_SCHEMA = {
    "email": pl.String, "topic": pl.String, "reason": pl.String, "source": pl.String, "at": pl.String,
    "event": pl.String,
}  # fmt: skip
_DEFUSED = r"^'([=+\-@])"  # as our own exports write what a spreadsheet would take for a formula


@dataclass(frozen=True, slots=True)
class Strange:
    """An entry that holds no address, or a topic that is too long."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Block:
    """Some entries of a list."""

    entries: list[Suppression]
    strange: list[Strange]


def read_suppression_list(  # noqa: PLR0913 - keyword-only, one per default of an entry
    place: str, workspace: Path, *, topic: str, reason: str | None, source: str | None, at: datetime
) -> Iterator[Block]:
    """Read a list of any format that an audience may have; see `set_aside_suppressions` for its columns.

    Args:
        place: a path, a glob pattern or s3://.
        workspace: where a relative path begins.
        topic: of entries that name none; empty for all mail.
        reason: of entries that name none; None for `manual`.
        source: where the entries are from; None for the file's name.
        at: when they are learnt.

    Raises:
        DataError: a file is missing or damaged, or has no column of addresses.
    """
    with TemporaryDirectory(prefix="mailrun-") as downloads:
        for file in find_sources(place, workspace, downloads=Path(downloads)):
            yield from _read_file(file, topic, reason or Reason.MANUAL, source or file.name, at)


def _read_file(file: Source, topic: str, reason: str, source: str, at: datetime) -> Iterator[Block]:
    table = open_list(file)
    columns = find_columns(table)
    named = {"raw": columns.address, "reason": columns.reason, "topic": columns.topic}
    wanted = [column for column in dict.fromkeys(named.values()) if column]
    for batch in read_batches([table], wanted, dict.fromkeys(wanted, pl.String())):
        rows = batch.load()
        absent = pl.lit(None, dtype=pl.String)
        texts = rows.cells.select(
            (pl.col(column).str.strip_chars() if column else absent).alias(name) for name, column in named.items()
        ).with_columns(pl.col("raw").str.replace(_DEFUSED, "${1}"))
        judged = judge_addresses(texts.get_column("raw"))
        frame = pl.concat([rows.places, texts, judged], how="horizontal")
        yield _to_block(frame, file.name, topic, str(reason), source, at)


def _to_block(frame: pl.DataFrame, name: str, topic: str, reason: str, source: str, at: datetime) -> Block:  # noqa: PLR0913, PLR0917 - what an entry is made of
    what = pl.coalesce("malformed", "fault", pl.when(pl.col("key").is_null()).then(pl.lit("no address")))
    too_long = pl.when(pl.col("topic").str.len_chars() > LONGEST_TOPIC).then(
        pl.lit(f"the topic has more than {LONGEST_TOPIC} characters")
    )
    marked = frame.with_columns(what=pl.coalesce(what, too_long))
    strange = [
        Strange(f"{name}, line {line}", text)
        for line, text in marked.filter(pl.col("what").is_not_null()).select("line", "what").iter_rows()
    ]
    sound = marked.filter(pl.col("what").is_null()).select(
        "key",
        "address",
        pl.when(pl.col("topic").fill_null("") == "").then(pl.lit(topic)).otherwise("topic").alias("topic"),
        pl.when(pl.col("reason").fill_null("") == "").then(pl.lit(reason)).otherwise("reason").alias("reason"),
    )
    entries = [
        Suppression(key, its_topic, read_reason(its_reason), source, at, None, address)
        for key, address, its_topic, its_reason in sound.iter_rows()
    ]
    return Block(entries, strange)


def read_reason(text: str) -> str:
    """Return one of our reasons where the text is one in any case, else the text.

    >>> read_reason("Soft-Bounces"), read_reason("asked by phone")
    ('soft_bounces', 'asked by phone')
    """
    word = text.strip().lower().replace("-", "_").replace(" ", "_")
    return word if word in set(Reason) else text.strip()


def to_frame(entries: Iterable[Suppression]) -> pl.DataFrame:
    """Return entries as `EXPORT_SCHEMA`; the address as it was received, where that is known."""
    rows = [(s.address or s.key, s.topic, s.reason, s.source, s.at.isoformat(), s.event) for s in entries]
    return pl.DataFrame(rows, schema=EXPORT_SCHEMA, orient="row")


def export_suppressions(blocks: Iterable[Sequence[Suppression]], path: Path) -> int:
    """Write a list as Parquet where the name says so, else as CSV in UTF-8 with a mark, formulas defused.

    The file is readable by its owner alone, and there whole or not at all; one that was there is replaced.

    Returns:
        How many entries it has.

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
            f"{path} cannot be written: {error.strerror}", where="FILE", remedy="name a file in a folder you may write"
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    return rows


def _write_csv(blocks: Iterable[Sequence[Suppression]], file: object) -> int:
    file.write(codecs.BOM_UTF8)  # type: ignore[attr-defined] # a binary file
    pl.DataFrame(schema=EXPORT_SCHEMA).write_csv(file)  # type: ignore[call-overload] # as above
    rows = 0
    for block in blocks:
        frame = to_frame(block)
        safe = frame.select(defuse(column) for column in frame)
        safe.write_csv(file, include_header=False)  # type: ignore[call-overload] # as above
        rows += frame.height
    return rows


def _write_parquet(blocks: Iterable[Sequence[Suppression]], file: object) -> int:
    frames = [pl.DataFrame(schema=EXPORT_SCHEMA), *(to_frame(block) for block in blocks)]
    whole = pl.concat(frames)
    whole.write_parquet(file)  # type: ignore[arg-type] # a binary file
    return whole.height


def read_one_address(text: str, where: str = "ADDRESS") -> tuple[str, str]:
    """Return the key and the address of one that a person typed.

    Raises:
        DataError: it is none.
    """
    judged = judge_addresses(pl.Series([text], dtype=pl.String))
    key, address, fault = judged["key"].item(0), judged["address"].item(0), judged["fault"].item(0)
    if key is None:
        raise DataError(f"{text!r} is no address: {fault or 'it is empty'}", where=where, remedy="check its spelling")
    return key, address
