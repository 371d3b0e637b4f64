"""How long the dashboard takes to open its pages, over a ledger with 1,000 runs and the flags of 10 million events.

Each run has 10,000 recipients; the flags of a row count as many events as they have bits. The first opening of a page
imports what it needs and is not counted.
"""

import asyncio
import http.client
import random
import sqlite3
import statistics
import threading
import time
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import insert

from engine.audience.planning.recipients import rows_per_lease
from engine.dashboard.server import Listening, run_dashboard
from engine.ledger.event_flags import COUNTED, OF_DOMAINS, Flag
from engine.ledger.schema import RunState, feedback_domain_table, feedback_table, lease_table, run_table
from engine.workspace import Workspace, open_workspace

RUNS = 1_000
RECIPIENTS = 10_000
EVENTS = 10_000_000
TARGET_SECONDS = 1.0
OPENINGS = 7
_BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
_DOMAINS = ("gmail.com", "outlook.com", "yahoo.com", "")
_SEEN = (Flag.PROVEN | Flag.DELIVERED, Flag.PROVEN | Flag.DELIVERED | Flag.OPENED, Flag.PROVEN | Flag.BOUNCED)
_WEIGHTS = (60, 37, 3)
_NEWEST = "campaign-9/2026-00999"
PAGES = ("/", "/?page=10", "/?q=campaign-3&state=finished", f"/runs/{_NEWEST}", f"/runs/{_NEWEST}/errors")


def main() -> None:
    """Print the time of each page: the median and the longest of several openings."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "campaigns").mkdir()
        with open_workspace(folder) as workspace:
            events = fill(workspace)
            size = _measure_ledger(workspace) / 1e6
            print(f"{RUNS:,} runs, {RUNS * RECIPIENTS:,} recipients, {events:,} events, a ledger of {size:,.0f} MB")
            assert events >= EVENTS
            for path, times in _open_pages(workspace):
                missed = " !" if max(times) > TARGET_SECONDS else ""
                print(f"{path:<34}{statistics.median(times) * 1000:>8,.0f} ms{max(times) * 1000:>8,.0f} ms{missed}")


def fill(workspace: Workspace) -> int:
    """Add the runs; returns how many events their flags are."""
    dice, rows = random.Random(1), rows_per_lease(RECIPIENTS)  # noqa: S311 - the same flags each time
    leases = [_make_flags(dice, rows) for _ in range(50)]  # runs share them: only their sizes matter
    events = 0
    with workspace.ledger.write() as tx:
        for number in range(RUNS):
            name = f"campaign-{number % 10}/2026-{number:05d}"
            begun = _BEGUN + timedelta(hours=number)
            tx.execute(insert(run_table), _make_run(name, begun))
            chosen = [dice.choice(leases) for _ in range(RECIPIENTS // rows)]
            events += sum(sum(counts.values()) for _, counts in chosen)
            settled: dict[str, Any] = {"settled_at": begun, "epoch": 1, "refused": 3, "failed": 1, "in_doubt": 0}
            tx.execute(
                insert(lease_table),
                [{"run": name, "ordinal": i, "rows": rows, "sent": rows - 4, **settled} for i in range(len(chosen))],
            )
            tx.execute(
                insert(feedback_table),
                [{"run": name, "lease": i, "flags": flags, **counts} for i, (flags, counts) in enumerate(chosen)],
            )
            zero = {str(flag.name).lower(): 10 for flag in OF_DOMAINS}
            tx.execute(insert(feedback_domain_table), [{"run": name, "domain": each, **zero} for each in _DOMAINS])
    return events


def _make_run(name: str, begun: datetime) -> dict[str, Any]:
    return {
        "name": name, "state": RunState.FINISHED, "sandbox": False, "folder": f"runs/{name}", "manifest_digest": "d",
        "rows_read": RECIPIENTS, "accepted": RECIPIENTS, "excluded": "{}", "created_at": begun, "started_at": begun,
        "finished_at": begun + timedelta(minutes=20), "sender_domain": "acme.example", "transport": "ses",
        "trial": False, "kind": "marketing", "topic": "news", "guard": "{}",
    }  # fmt: skip


def _make_flags(dice: random.Random, rows: int) -> tuple[bytes, dict[str, int]]:
    values = dice.choices(_SEEN, _WEIGHTS, k=rows)
    counts = Counter(flag for value in values for flag in COUNTED if value & flag)
    return zlib.compress(array("H", values).tobytes(), 1), {str(flag.name).lower(): counts[flag] for flag in COUNTED}


def _measure_ledger(workspace: Workspace) -> int:
    file = workspace.settings.ledger_file
    assert file is not None
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file.stat().st_size


def _open_pages(workspace: Workspace) -> Iterator[tuple[str, list[float]]]:
    ready, done, found = threading.Event(), threading.Event(), list[str]()

    async def serve() -> None:
        async with run_dashboard(workspace, Listening(host="127.0.0.1", port=0)) as url:
            found.append(url)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    try:
        for path in PAGES:
            yield path, [_open(found[0], path) for _ in range(OPENINGS + 1)][1:]
    finally:
        done.set()
        thread.join()


def _open(url: str, path: str) -> float:
    begun = time.perf_counter()
    with closing(http.client.HTTPConnection(urlsplit(url).netloc)) as connection:
        connection.request("GET", path)
        reply = connection.getresponse()
        reply.read()
        assert reply.status == 200, path
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
