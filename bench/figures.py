"""How long the figures of a run take, and how much memory: 10 million events of 3 million recipients.

    python -m bench.figures [EVENTS]

The events, the plan and the outcomes are made with Polars in a temporary folder; nothing is sent.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from engine.audience.planning.lease_range import LeaseRange
from engine.feedback.events.event_files import EVENT_SCHEMA
from engine.ledger.database import open_ledger
from engine.ledger.runs import Run
from engine.ledger.schema import RunState
from engine.report.figures.breakdowns import make_breakdowns
from engine.report.figures.from_events.bounce_diagnoses import list_diagnoses
from engine.report.figures.from_events.clicked_links import list_links
from engine.report.figures.from_events.link_patterns import find_patterns
from engine.report.figures.from_events.openers import count_openers
from engine.report.figures.from_events.run_events import read_run_events
from engine.report.figures.outcome_causes import find_causes
from engine.report.figures.run_data import RunData
from engine.report.figures.time_line import make_time_line
from engine.store.folder import FolderStore

RUN = "news/1"
START = datetime(2026, 11, 24, 9, tzinfo=UTC)
LEASE = 5_000
FILE = 100_000  # events
# Of ten events: three Send, three Delivery, two Open, one Click, one Bounce.
_KINDS = ("Send", "Delivery", "Open", "Send", "Delivery", "Click", "Send", "Delivery", "Open", "Bounce")


def write_events(store: Path, events: int, recipients: int) -> None:
    """Write event files of one day."""
    folder = store / "events" / f"day={START.date().isoformat()}"
    folder.mkdir(parents=True)
    kinds = pl.Series(_KINDS)
    for start in range(0, events, FILE):
        number = pl.int_range(start, min(start + FILE, events), eager=True, dtype=pl.UInt64)
        kind = kinds.gather((number.hash(1) % len(_KINDS)).cast(pl.UInt32))
        row = number.hash(2) % recipients + 1
        text = "smtp; 550 5.1.1 <person" + row.cast(pl.String) + "@x.example> unknown, id q" + number.cast(pl.String)
        frame = pl.DataFrame({"kind": kind, "row": row}).with_columns(
            (number.hash(3).cast(pl.String) + number.hash(4).cast(pl.String)).alias("id"),
            pl.when(kind == "Bounce").then(pl.lit("Permanent/General")).otherwise(pl.lit("")).alias("subtype"),
            (pl.lit(START) + pl.duration(milliseconds=pl.lit(number))).dt.cast_time_unit("ms").alias("at"),
            ("person" + row.cast(pl.String) + "@x" + (row % 1000).cast(pl.String) + ".example").alias("key"),
            pl.lit(RUN).alias("run"), pl.lit("tag").alias("match"),
            pl.when(kind == "Bounce").then(text).alias("detail"),
            pl.when(kind == "Click").then("https://a.example/?u=" + row.cast(pl.String)).alias("link"),
            pl.when(kind == "Open", row % 3 == 0).then(pl.lit("Apple Mail Privacy Protection")).alias("agent"),
        )  # fmt: skip
        whole = [pl.col(n) if n in frame.columns else pl.lit(None, t).alias(n) for n, t in EVENT_SCHEMA.items()]
        frame.select(whole).sort("id").write_parquet(folder / f"{start:012d}.parquet", compression="zstd")


def write_run(folder: Path, recipients: int) -> RunData:
    """Write a plan and its outcomes."""
    (folder / "plan").mkdir(parents=True)
    (folder / "outcomes").mkdir()
    (folder / "campaign").mkdir()
    (folder / "campaign" / "body.html.j2").write_text('<a href="https://a.example/?u={{ id }}">a</a>', encoding="utf-8")
    row = pl.int_range(1, recipients + 1, eager=True, dtype=pl.UInt64).alias("row").shuffle(seed=7)
    address = ("person" + row.cast(pl.String) + "@x" + (row % 1000).cast(pl.String) + ".example").alias("address")
    place = folder / "plan" / "recipients-0000.parquet"
    pl.DataFrame([row, address, address.alias("key")]).with_columns(file=pl.lit("a.csv"), line=row).write_parquet(
        place, row_group_size=LEASE
    )
    leases, files = [], {}
    for ordinal, first in enumerate(range(0, recipients, LEASE)):
        rows = row.slice(first, LEASE)
        is_failed = rows % 100 == 0
        frame = pl.DataFrame([rows, address.slice(first, LEASE)]).with_columns(
            pl.when(is_failed).then(pl.lit("failed")).otherwise(pl.lit("sent")).alias("outcome"),
            pl.lit(None, pl.String).alias("message_id"),
            pl.when(is_failed).then("price is " + rows.cast(pl.String)).alias("error"),
            (pl.lit(START) + pl.duration(seconds=ordinal)).dt.cast_time_unit("ms").alias("at"),
        )
        files[ordinal] = folder / "outcomes" / f"lease-{ordinal:05d}-1.parquet"
        frame.write_parquet(files[ordinal])
        leases.append(LeaseRange(ordinal, place.name, first, len(rows)))
    run = Run(
        name=RUN, state=RunState.FINISHED, reason=None, sandbox=False, folder=f"runs/{RUN}", manifest_digest="d" * 64,
        rows_read=recipients, accepted=recipients, excluded={}, created_at=START, started_at=START, finished_at=START,
    )  # fmt: skip
    return RunData(run, [place], [], leases, None, folder / "campaign", files, {})


def main(events: int) -> None:
    """Make everything, and print a line for each part."""
    recipients = events * 3 // 10
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_events(root, events, recipients)
        data, store = write_run(root / "runs" / RUN, recipients), FolderStore(root)
        ledger = open_ledger(f"sqlite:///{root / 'ledger.db'}")
        print(f"{events:,} events, {recipients:,} recipients; memory before: {_peak():,.0f} MiB")
        stored = _time("count the events by kind", lambda: read_run_events(store, RUN, START))
        _time("opens", lambda: count_openers(stored))
        _time("clicks", lambda: list_links(stored, find_patterns(data.templates)))
        _time("bounces", lambda: list_diagnoses(stored))
        _time("causes of outcomes", lambda: find_causes(data))
        _time("time line", lambda: make_time_line(data.scan_outcomes()))
        _time("breakdowns", lambda: make_breakdowns(data, ledger))
        ledger.close()


def _time(name: str, work: Callable[[], Any]) -> Any:
    began = time.monotonic()
    result = work()
    print(f"{name:<26}{time.monotonic() - began:8.2f} s   peak {_peak():,.0f} MiB", flush=True)
    return result


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
