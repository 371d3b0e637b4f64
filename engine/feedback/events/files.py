"""Reads events from files, such as Firehose's: JSON documents, gzipped or not, with line ends or without."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import orjson
import polars as pl

from engine.audience.reading.binary.binary_rows import check_parquet
from engine.audience.reading.sources import AudienceSource, Format
from engine.audience.reading.text_files.raw_files import CountedFile
from engine.errors import DataError
from engine.feedback.events.agents import find_agent
from engine.feedback.events.envelopes import Opened, Quarantined, Verify, open_document, split_documents
from engine.feedback.events.event_files import EVENT_SCHEMA, LATER_COLUMNS
from engine.feedback.events.records import EventKind, FeedbackEvent
from engine.locations import REMOTE
from engine.read_limits import DEFAULT_LIMITS, ReadLimits
from engine.store.objects import fetch_objects
from engine.system.given_paths import look_at
from engine.system.temporary import make_temporary_folder

DOCUMENTS_AT_ONCE = 20_000
_LONGEST_LINE = 160 * 2**20  # Firehose writes up to 128 MiB in one object, perhaps without a line end
_LONGEST_TEXT = 64 * 2**20  # of documents that stretch over lines
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"


def read_place(place: str, verify: Verify, limits: ReadLimits = DEFAULT_LIMITS) -> Iterator[tuple[str, list[Opened]]]:
    """Read events of a file, of all files in a folder, or of an object or the objects below a prefix of S3.

    Args:
        place: a path, or `s3://BUCKET/KEY`, with a slash at its end for a prefix.
        verify: checks SNS notifications.
        limits: how much a file may unpack to.

    Yields:
        Where they are from, and some documents.

    Raises:
        DataError: there is no such file, or it is cut.
        ConfigurationError: reading the bucket is not permitted.
        ServiceError: S3 cannot be reached.
    """
    if not place.startswith(REMOTE):
        for path in find_files(Path(place)):
            for some in read_file(path, str(path), verify, limits):
                yield str(path), some
        return
    with make_temporary_folder() as folder:
        for fetched in fetch_objects(place, folder):
            for some in read_file(fetched.path, fetched.name, verify, limits):
                yield fetched.name, some
            fetched.path.write_bytes(b"")  # its name stays in use, its bytes are not needed any more


def find_files(place: Path) -> list[Path]:
    """Find the files of a folder, at any depth, in order, without hidden ones.

    Raises:
        UsageError: the path cannot be looked at.
        DataError: there is none.
    """
    look_at(place, "PATH")
    if place.is_file():
        return [place]
    inside = (path for path in sorted(place.rglob("*")) if path.is_file())
    files = [p for p in inside if not any(part.startswith(".") for part in p.relative_to(place).parts)]
    if not files:
        what = "the folder holds no file" if place.is_dir() else "there is no such file or folder"
        raise DataError(what, where=str(place), remedy="name a file or folder of events, or s3://BUCKET/PREFIX/")
    return files


def read_file(path: Path, name: str, verify: Verify, limits: ReadLimits = DEFAULT_LIMITS) -> Iterator[list[Opened]]:
    """Read one file, some documents at a time.

    Raises:
        DataError: it cannot be read, its compression is cut, or it unpacks to more than is allowed.
    """
    some: list[Opened] = []
    try:
        with path.open("rb") as raw:
            if raw.peek(4)[:4] == _PARQUET:
                yield [_read_own(path, name, limits)]
                return
            is_gzip = raw.peek(2)[:2] == _GZIP
            file = CountedFile(gzip.GzipFile(fileobj=raw), path.stat().st_size, name, limits) if is_gzip else raw
            for opened in _read_documents(file, name, verify):
                some.append(opened)
                if len(some) >= DOCUMENTS_AT_ONCE:
                    yield some
                    some = []
    except (OSError, EOFError, zlib.error) as error:  # gzip.BadGzipFile is an OSError
        if some:
            yield some
        detail = getattr(error, "strerror", None) or str(error)
        remedy = "fetch the file again, and import it again: an event counts once"
        raise DataError(f"cannot be read to its end: {detail}", where=name, remedy=remedy) from error
    if some:
        yield some


def _read_own(path: Path, name: str, limits: ReadLimits) -> list[FeedbackEvent]:
    """Read a file of the store's own events again, for a ledger that was restored from a backup."""
    state = path.stat()
    check_parquet(AudienceSource(path, name, state.st_size, state.st_mtime_ns, Format.PARQUET, limits=limits))
    try:
        found = pl.read_parquet(path, hive_partitioning=False)
        absent = [name for name in LATER_COLUMNS if name not in found.columns]
        frame = found.with_columns(pl.lit(None, EVENT_SCHEMA[name]).alias(name) for name in absent)
        frame = frame.select(*EVENT_SCHEMA)
    except pl.exceptions.PolarsError as error:
        remedy = "give files of <store>/events, or JSON"
        raise DataError("it is Parquet, but not a file of mailrun's events", where=name, remedy=remedy) from error
    campaign, key = (pl.col("run").str.split("/").list.get(at, null_on_oob=True).fill_null("") for at in (0, 1))
    events = frame.with_columns(
        campaign.alias("campaign"),
        key.alias("run_key"),
        pl.col("at", "sent_at").cast(pl.Int64),
        pl.col("address").fill_null(""),
    )
    return [_name_agent(FeedbackEvent(*values)) for values in events.select(*FeedbackEvent._fields).iter_rows()]


def _name_agent(event: FeedbackEvent) -> FeedbackEvent:
    """Read the agent of an event that an earlier version wrote: with the user agent as its detail."""
    if event.detail is None or event.kind not in (EventKind.OPEN, EventKind.CLICK):
        return event
    agent = find_agent(event.kind, event.detail, (event.at - event.sent_at) / 1000)
    return event._replace(agent=agent, detail=None)


def _read_documents(file: IO[bytes] | CountedFile, name: str, verify: Verify) -> Iterator[Opened]:
    may_stretch = True  # over lines, as a person's editor writes JSON
    while line := file.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
            raise DataError("a line is longer than 160 MiB", where=name, remedy="divide the file")
        if line.isspace():
            continue
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError:
            text = line.decode("utf-8-sig", "replace")
            if may_stretch and not _is_whole(text):
                rest = file.read(_LONGEST_TEXT)
                may_stretch = False
                text += rest.decode("utf-8", "replace")
                text += file.readline(_LONGEST_LINE).decode("utf-8", "replace")
            for found, piece in split_documents(text):
                yield from _open_found(found, piece, verify)
        else:
            yield from _open_found(document, line, verify)


def _is_whole(text: str) -> bool:
    return all(document is not None for document, _ in split_documents(text))


def _open_found(document: object, body: str | bytes, verify: Verify) -> Iterator[Opened]:
    if document is None:
        text = body if isinstance(body, str) else body.decode("utf-8", "replace")
        if text.strip():
            yield Quarantined("it is not JSON", text.strip())
    elif isinstance(document, list):
        for item in document:
            yield open_document(item, json.dumps(item), verify)
    else:
        yield open_document(document, body, verify)
