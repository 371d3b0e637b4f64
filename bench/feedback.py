"""Events of a run of 200,000, from files to the ledger: events a second, µs of CPU an event, and memory."""

import json
import random
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from engine.audience.planning.lease_range import LeaseRange
from engine.clock import SystemClock
from engine.feedback.events.effects import SoftRule
from engine.feedback.events.envelopes import Verify
from engine.feedback.events.files import read_place
from engine.feedback.events.intake import EventTally, Intake
from engine.feedback.events.matching import Matcher
from engine.feedback.events.row_index import FrozenPlan
from engine.ledger import runs
from engine.ledger.database import open_ledger
from engine.ledger.runs import Run
from engine.ledger.schema import RunState
from engine.store.folder import FolderStore

RECIPIENTS = 200_000
LEASE_ROWS = 5_000
RUN = "bench/2026-11-24"
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
HEADERS = [{"name": f"X-Header-{number}", "value": "v" * 60} for number in range(12)]  # as SES includes them


def main() -> None:
    """Print the figures for events in the order of sending, for opens in random order, and for all of them again."""
    with TemporaryDirectory(prefix="mailrun-bench-") as name:
        folder = Path(name)
        plan = _make_plan(folder / "plan")
        files = {
            "sends and deliveries": _write(folder / "sent.jsonl", _make_sent()),
            "opens, in any order": _write(folder / "opened.jsonl", _make_opened()),
            "bounces of 10 %": _write(folder / "bounced.jsonl", _make_bounced()),
        }
        store, ledger = FolderStore(folder / "store"), open_ledger(f"sqlite:///{folder / 'ledger.db'}")
        with ledger.write() as tx:
            runs.insert_run(tx, _make_run(), lease_rows=[lease.rows for lease in plan.leases])
        for what, path in [*files.items(), ("sends and deliveries again", files["sends and deliveries"])]:
            matcher = Matcher(ledger, store, lambda _: plan)
            intake = Intake(ledger, store, matcher, soft_rule=SoftRule(3, 30), clock=SystemClock())
            before = time.process_time()
            for source, opened in read_place(str(path), _trust):
                intake.take(opened, source)
            cpu = time.process_time() - before
            matcher.close()
            _print(what, intake.tally, cpu=cpu)
        ledger.close()
        print(f"ledger {(folder / 'ledger.db').stat().st_size / 2**20:.1f} MiB for {RECIPIENTS:,} recipients")


def _print(what: str, tally: EventTally, *, cpu: float) -> None:
    rate = tally.events / cpu
    verdict = "≥ 20,000" if rate >= 20_000 else "BELOW 20,000"
    print(
        f"{what:<28}{tally.events:>9,} events  {rate:>8,.0f} a second of one core ({verdict})"
        f"  {cpu / tally.events * 1e6:5.1f} µs CPU  {tally.changed:,} changed  peak memory {_peak():,.0f} MiB"
    )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


_trust: Verify = lambda _: None  # noqa: E731 - files of the bench's own


def _make_plan(folder: Path) -> FrozenPlan:
    folder.mkdir()
    rows = list(range(1, RECIPIENTS + 1))
    random.Random(1).shuffle(rows)  # noqa: S311 - seeded dice
    keys = [f"person{row}@{'gmail.com' if row % 3 else 'example.com'}" for row in rows]
    frame = pl.DataFrame({"row": pl.Series(rows, dtype=pl.UInt64), "address": keys, "key": keys})
    frame.write_parquet(folder / "recipients-0000.parquet", row_group_size=LEASE_ROWS)
    starts = range(0, RECIPIENTS, LEASE_ROWS)
    leases = [LeaseRange(number, "recipients-0000.parquet", at, LEASE_ROWS) for number, at in enumerate(starts)]
    return FrozenPlan(RUN, "d" * 64, folder, leases, RECIPIENTS)


def _make_run() -> Run:
    return Run(
        name=RUN,
        state=RunState.FINISHED,
        reason=None,
        sandbox=False,
        folder=f"runs/{RUN}",
        manifest_digest="d" * 64,
        rows_read=RECIPIENTS,
        accepted=RECIPIENTS,
        excluded={},
        created_at=NOW,
        started_at=None,
        finished_at=None,
    )


def _write(path: Path, records: Iterator[dict[str, object]]) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    return path


def _make_mail(row: int) -> dict[str, object]:
    address = f"person{row}@{'gmail.com' if row % 3 else 'example.com'}"
    tags = {"mailrun-campaign": ["bench"], "mailrun-key": ["2026-11-24"], "mailrun-row": [str(row)]}
    ses = {"ses:operation": ["SendEmail"], "ses:configuration-set": ["marketing"], "ses:caller-identity": ["x"]}
    return {
        "timestamp": "2026-11-24T09:00:00.000Z",
        "source": "Acme <news@acme.example>",
        "sendingAccountId": "123456789012",
        "messageId": f"0100018f{row:016x}-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee-000000",
        "destination": [address],
        "headersTruncated": False,
        "headers": HEADERS,
        "tags": {**tags, **ses},
    }


def _make_sent() -> Iterator[dict[str, object]]:
    rows = list(range(1, RECIPIENTS + 1))
    random.Random(1).shuffle(rows)  # noqa: S311 - the plan's order
    for row in rows:
        mail = _make_mail(row)
        yield {"eventType": "Send", "mail": mail, "send": {}}
        details = {"timestamp": "2026-11-24T09:00:02.000Z", "recipients": mail["destination"], "smtpResponse": "250 ok"}
        yield {"eventType": "Delivery", "mail": mail, "delivery": details}


def _make_opened() -> Iterator[dict[str, object]]:
    for row in range(1, RECIPIENTS + 1, 2):
        details = {"timestamp": "2026-11-24T11:00:02.000Z", "ipAddress": "192.0.2.1", "userAgent": "Mail"}
        yield {"eventType": "Open", "mail": _make_mail(row), "open": details}


def _make_bounced() -> Iterator[dict[str, object]]:
    for row in range(1, RECIPIENTS + 1, 10):
        mail = _make_mail(row)
        to = [{"emailAddress": f"person{row}@{'gmail.com' if row % 3 else 'example.com'}", "status": "5.1.1"}]
        details = {
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": to,
            "feedbackId": f"f{row}",
        }
        yield {"eventType": "Bounce", "mail": mail, "bounce": {**details, "timestamp": "2026-11-24T09:00:02.000Z"}}
