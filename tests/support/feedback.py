"""A ledger with a run, the files of its plan, and an intake: for tests of events without a campaign."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import polars as pl
from msgspec.structs import replace

from engine.audience.planning.lease_range import LeaseRange
from engine.feedback.events.effects import SoftRule
from engine.feedback.events.envelopes import open_body
from engine.feedback.events.event_files import DAMAGED, EVENT_SCHEMA, list_days, scan_day
from engine.feedback.events.intake import Intake
from engine.feedback.events.matching import Matcher
from engine.feedback.events.row_index import FrozenPlan
from engine.ledger import event_flags, runs
from engine.ledger.database import Ledger, open_ledger
from engine.ledger.runs import Run
from engine.ledger.schema import RunState
from engine.ledger.suppressed.suppressions import iterate_suppressions
from engine.store.folder import FolderStore
from engine.store.port import Store
from support.clock import VirtualClock
from support.events import make_event, make_mail
from support.recorded import read_domains

RUN = "news/2026-11-24"
NEXT_RUN = "news/2026-11-25"
RUNS = (RUN, NEXT_RUN)
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
PEOPLE = tuple(f"person{number}@{'big.example' if number % 2 else 'x.example'}" for number in range(1, 21))
LEASE_ROWS = 8
RULE = SoftRule(bounces=2, days=7)


def scan_events(store: Store) -> pl.LazyFrame:
    """All events of a store, each once; of an event that was stored unmatched and matched later, the matched one."""
    is_later = pl.col("run").is_null() | (pl.col("match") == DAMAGED)
    frames = [pl.LazyFrame(schema=EVENT_SCHEMA), *(scan_day(store, day) for day in list_days(store))]
    return pl.concat(frames).sort(is_later, maintain_order=True).unique("id", keep="first", maintain_order=True)


def make_run(name: str = RUN) -> Run:
    return Run(
        name=name,
        state=RunState.FINISHED,
        reason=None,
        sandbox=False,
        folder=f"runs/{name}",
        manifest_digest="d" * 64,
        rows_read=len(PEOPLE),
        accepted=len(PEOPLE),
        excluded={},
        created_at=NOW,
        started_at=None,
        finished_at=None,
    )


def write_plan(folder: Path, run: str = RUN, **more: Any) -> FrozenPlan:
    """Write a plan of PEOPLE: rows 1 to 20, in a different order, in three leases."""
    folder.mkdir(parents=True)
    rows = [row * 7 % 20 + 1 for row in range(20)]
    keys = [PEOPLE[row - 1] for row in rows]
    frame = pl.DataFrame({"row": pl.Series(rows, dtype=pl.UInt64), "address": keys, "key": keys})
    frame.write_parquet(folder / "recipients-0000.parquet", row_group_size=LEASE_ROWS)
    ranges = [(0, 0, 8), (1, 8, 8), (2, 16, 4)]
    leases = [LeaseRange(ordinal, "recipients-0000.parquet", first, count) for ordinal, first, count in ranges]
    return FrozenPlan(run, "d" * 64, folder, leases, len(PEOPLE), **more)


@cache
def _template() -> Path:
    folder = Path(mkdtemp(prefix="mailrun-ledger-"))
    ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}")
    with ledger.write() as tx:
        for name in RUNS:
            runs.insert_run(tx, make_run(name), lease_rows=[8, 8, 4])
    ledger.close()
    return folder / "ledger.db"


@dataclass
class Desk:
    """A place where events are processed."""

    ledger: Ledger
    store: Store
    matcher: Matcher
    intake: Intake

    def take(self, records: Sequence[dict[str, Any]]) -> None:
        self.intake.take([open_body(json.dumps(record), lambda _: None) for record in records], "a test")

    def read_state(self) -> dict[str, Any]:
        """Read everything that events may change."""
        with self.ledger.read() as tx:
            names = [run.name for run in runs.list_runs(tx)]
            state = {
                "flags": {
                    (name, lease): list(event_flags.read_flags(tx, name, lease)) for name in names for lease in range(3)
                },
                "sums": event_flags.sum_all_feedback(tx),
                "domains": {name: read_domains(tx, name) for name in names},
                "soft": event_flags.find_soft_bounces(tx, PEOPLE),
            }
        return state | {
            "suppressed": [item for block in iterate_suppressions(self.ledger) for item in block],
            "volume": scan_events(self.store).collect().sort("id").rows(),
        }


@contextmanager
def open_desk(folder: Path, url: str | None = None, **more: Any) -> Iterator[Desk]:
    """Open a desk, on a copy of an existing ledger or on a ledger by URL."""
    plan = write_plan(folder / "plan", **more)
    if url is None:
        shutil.copy(_template(), folder / "ledger.db")
    ledger, store = open_ledger(url or f"sqlite:///{folder / 'ledger.db'}"), FolderStore(folder / "store")
    if url is not None:
        with ledger.write() as tx:
            for name in RUNS:
                runs.insert_run(tx, make_run(name), lease_rows=[8, 8, 4])
    matcher = Matcher(ledger, store, lambda run: replace(plan, run=run.name))
    try:
        yield Desk(ledger, store, matcher, Intake(ledger, store, matcher, soft_rule=RULE, clock=VirtualClock()))
    finally:
        matcher.close()
        ledger.close()


def make(kind: str, row: int, *, run: str = RUN, copy: int = 0, **details: Any) -> dict[str, Any]:
    """Make an event of a row of a run; `copy` distinguishes messages to the same row."""
    campaign, _, key = run.partition("/")
    tags = {"mailrun-campaign": campaign, "mailrun-key": key, "mailrun-row": str(row)}
    mail = make_mail(f"0100-{run.replace('/', '-')}-{row}-{copy}", PEOPLE[row - 1], tags)
    return make_event(kind, mail, **details)


def make_soft(row: int, at: str, *, run: str = RUN, subtype: str = "MailboxFull") -> dict[str, Any]:
    to = [{"emailAddress": PEOPLE[row - 1], "status": "4.2.2", "diagnosticCode": "smtp; 452 4.2.2 full"}]
    details: dict[str, Any] = {
        "bounceType": "Transient",
        "bounceSubType": subtype,
        "bouncedRecipients": to,
        "timestamp": at,
    }
    return make("Bounce", row, run=run, **details, feedbackId=f"soft-{run}-{row}-{at}")
