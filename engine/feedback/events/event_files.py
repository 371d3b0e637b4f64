"""Events as Parquet in the store, by day, and quarantined data.

A file is named after the ids of its events, so a repeated batch is the same file. An event may still be in two files (a
batch that was read again after a crash, together with others): `scan_events` reads each `id` once.
"""

import io
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from hashlib import blake2b
from pathlib import Path

import orjson
import polars as pl

from engine.feedback.events.envelopes import Quarantined
from engine.store.port import Store

EVENTS = "events"
QUARANTINE = "events/quarantine"
_DAY = "day="
DAMAGED = "run_damaged"  # how an event is matched whose run cannot be read now; it keeps the run that its tags name
EVENT_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "id": pl.String,  # the same for every copy of an event
    "kind": pl.String,
    "subtype": pl.String,
    "at": pl.Datetime("ms", "UTC"),
    "sent_at": pl.Datetime("ms", "UTC"),  # when SES accepted the message
    "message_id": pl.String,
    "address": pl.String,  # as the event has it; null where the person was forgotten
    "key": pl.String,  # normalised; null where it is not an address
    "run": pl.String,  # null where the event belongs to no run here
    "row": pl.UInt64,
    "match": pl.String,  # `tag` or `message_id`: how it was matched; else why it was not
    "feedback_id": pl.String,
    "status": pl.String,
    "detail": pl.String,
    "link": pl.String,
    "topics": pl.String,
    "sent_to": pl.String,  # the recipient, where the event names another address: `key` is then the recipient's
    "outgoing_ip": pl.String,  # that the mail left from; null where SES does not name it
    "agent": pl.String,  # that opened or clicked, a value of agents.Agent; null for a person's own, or not known
    "position": pl.UInt16,  # of the link that was clicked, from 1; null where it is not known
}
LATER_COLUMNS = ("sent_to", "outgoing_ip", "agent", "position")  # files of earlier versions do not have them


def write_events(store: Store, events: pl.DataFrame) -> None:
    """Write events durably, a file for each day.

    Args:
        store: has the events.
        events: EVENT_SCHEMA, each id once.

    Raises:
        PausedError: the disk is full or failing.
        UnreachableError: the bucket does not answer.
    """
    by_day = events.with_columns(pl.col("at").dt.date().alias("_day")).partition_by("_day", include_key=True)
    for part in by_day:
        ordered = part.drop("_day").sort("id")
        name = blake2b("".join(ordered["id"]).encode(), digest_size=16).hexdigest()
        buffer = io.BytesIO()
        ordered.select(*EVENT_SCHEMA).write_parquet(buffer, compression="zstd", compression_level=1)
        store.write(f"{EVENTS}/{_DAY}{part['_day'].item(0).isoformat()}/{name}.parquet", buffer.getvalue())


def list_days(store: Store) -> list[date]:
    """List the days that have events, in order."""
    names = (name.removeprefix(_DAY) for name in store.list_folders(EVENTS) if name.startswith(_DAY))
    return sorted(date.fromisoformat(name) for name in names)


def scan_day(store: Store, day: date) -> pl.LazyFrame:
    """Read the events of a day: EVENT_SCHEMA; an event that was read again is in several files."""
    files = sorted(store.fetch(f"{EVENTS}/{_DAY}{day.isoformat()}").glob("*.parquet"))
    if not files:
        return pl.LazyFrame(schema=EVENT_SCHEMA)
    return _scan(files)


def _scan(files: list[Path]) -> pl.LazyFrame:
    """Read files of events; older ones have fewer columns."""
    return pl.scan_parquet(
        files,
        schema=EVENT_SCHEMA,
        missing_columns="insert",
        extra_columns="ignore",
        glob=False,
        hive_partitioning=False,
    )


def find_message_ids(store: Store, run: str, rows: Collection[int], since: datetime) -> dict[int, str]:
    """Find SES's message ids in the events of a run: row -> the id of its first message.

    Args:
        store: has the events.
        run: its name.
        rows: which.
        since: no event of the run is older.
    """
    found = pl.DataFrame(schema={"row": pl.UInt64, "message_id": pl.String, "sent_at": EVENT_SCHEMA["sent_at"]})
    wanted = pl.Series(list(rows), dtype=pl.UInt64)
    first = since.astimezone(UTC).date()
    for day in (day for day in list_days(store) if day >= first):  # a day at a time: memory stays flat
        mine = scan_day(store, day).filter(
            pl.col("run") == run, pl.col("match") != DAMAGED, pl.col("row").is_in(wanted.implode())
        )
        found = pl.concat([found, mine.select(found.columns).collect()])
    earliest = found.sort("sent_at", "message_id").unique("row", keep="first")
    return dict(earliest.select("row", "message_id").iter_rows())


def write_quarantine(store: Store, items: list[Quarantined], source: str) -> None:
    """Store data that is not an event, whole: `mailrun events import` reads it again when the cause is fixed."""
    if items:
        kept = [{"quarantined": i.reason, "source": i.source or source, "body": i.body} for i in items]
        lines = [orjson.dumps({name: _fit(text) for name, text in one.items()}) for one in kept]
        data = b"\n".join(lines) + b"\n"
        store.write(f"{QUARANTINE}/{blake2b(data, digest_size=16).hexdigest()}.jsonl", data)


def _fit(text: str) -> str:
    """Replace unpaired surrogates, which UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode()


def erase_from_events(store: Store, key: str) -> int:
    """Erase a person's address and details from all events; return how many.

    The events themselves remain, so that counts do not change.
    """
    erased = 0
    for day in list_days(store):
        name = f"{EVENTS}/{_DAY}{day.isoformat()}"
        for path in sorted(store.fetch(name).glob("*.parquet")):
            events = _scan([path]).collect()
            theirs = (events["key"] == key) | (events["sent_to"].str.to_lowercase() == key)
            if hits := int(theirs.fill_null(value=False).sum()):
                buffer = io.BytesIO()
                blank_forgotten(events, theirs).write_parquet(buffer, compression="zstd")
                store.write(f"{name}/{path.name}", buffer.getvalue())
                erased += hits
    for file in sorted(store.list_names(QUARANTINE)):
        data = store.read(f"{QUARANTINE}/{file}") or b""
        lines = data.splitlines(keepends=True)
        others = [line for line in lines if key.encode() not in line.lower()]
        if len(others) < len(lines):
            store.write(f"{QUARANTINE}/{file}", b"".join(others))
            erased += len(lines) - len(others)
    return erased


def blank_forgotten(events: pl.DataFrame, theirs: pl.Series) -> pl.DataFrame:
    """Erase personal data from events (EVENT_SCHEMA) where `theirs` is true."""
    personal = ("address", "key", "detail", "link", "sent_to")
    return events.with_columns(
        pl.when(~theirs.fill_null(value=False)).then(pl.col(name)).alias(name) for name in personal
    )


def prune_events(store: Store, before: date) -> list[date]:
    """Remove the events of days before a day; return the removed days."""
    old = [day for day in list_days(store) if day < before]
    for day in old:
        store.delete_folder(f"{EVENTS}/{_DAY}{day.isoformat()}")
    return old
