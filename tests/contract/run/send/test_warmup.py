"""The warm-up's days: from when they are counted, what counts, and when they are over."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.clock import START, VirtualClock

from engine.campaign.spec import parse_spec
from engine.errors import PausedError
from engine.ledger import leases, runs
from engine.ledger.database import Ledger, open_ledger
from engine.ledger.journal import Outcome
from engine.ledger.leases import Settlement
from engine.ledger.runs import Run
from engine.ledger.schema import RunState
from engine.run.facts import complete_facts
from engine.run.send.warmup import WarmupDay, complete_facts_unless_stopped, make_warmup_reader, read_warmup
from engine.stopping.stop import Stop, StopCause, StopReason
from engine.store.folder import FolderStore
from engine.store.port import Store

CAMPAIGN = (
    'from = "Acme <news@acme.example>"\nsubject = "s"\nkind = "transactional"\n'
    '[audience]\nsource = "x.csv"\n[content]\ntext = "t"\n'
)
WARMUP = "[warmup]\ncaps = [20, 30]\n"
THROUGH = '[delivery]\nconfiguration_set = "new-ip"\n'


@dataclass
class History:
    """Runs that were sent, as they are in ledger and store."""

    ledger: Ledger
    store: Store

    def add(
        self, name: str, text: str, at: datetime, sent: int, *, sandbox: bool = False, transport: str | None = None
    ) -> None:
        self.store.write(f"{name}/campaign/campaign.toml", text.encode())
        self.store.write(f"{name}/run.json", json.dumps({"transport": transport}).encode())
        run = Run(name, RunState.PLANNED, None, sandbox, name, "d", sent, sent, {}, at, None, None)
        with self.ledger.write() as tx:
            runs.insert_run(tx, run, lease_rows=[sent])
            runs.start_run(tx, name, at)
            lease = leases.take_lease(tx, name, worker="w", live={"w"}, holding=())
            assert lease is not None
            counts = dict.fromkeys(Outcome, 0) | {Outcome.SENT: sent}
            assert leases.settle_lease(tx, lease, Settlement(counts, "f", "d"), at)

    def read(self, text: str, now: datetime, run: str = "next/1") -> WarmupDay:
        complete_facts(self.ledger, self.store)
        with self.ledger.read() as tx:
            return read_warmup(tx, parse_spec(text, file="campaign.toml"), now, run=run)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield History(ledger, FolderStore(tmp_path / "runs"))
    ledger.close()


def test_warm_up_begins_with_the_first_run_and_ends_after_the_last_cap(history: History):
    text = CAMPAIGN + WARMUP
    assert history.read(text, START) == WarmupDay(1, 20, 0)
    history.add("first/1", text, START, 20)
    assert history.read(text, START + timedelta(hours=14, minutes=59)) == WarmupDay(1, 20, 20)
    assert history.read(text, START + timedelta(hours=15)) == WarmupDay(2, 30, 0)  # midnight in UTC
    history.add("second/1", text, START + timedelta(days=1), 12)
    second = history.read(text, START + timedelta(days=1, hours=1))
    assert (second, second.left) == (WarmupDay(2, 30, 12), 18)
    over = history.read(text, START + timedelta(days=2))
    assert (over, over.left) == (WarmupDay(3, None, 0), None)


def test_days_begin_at_midnight_of_the_windows_time_zone(history: History):
    text = CAMPAIGN + WARMUP + '[window]\ntimezone = "Asia/Tokyo"\n'
    history.add("first/1", text, datetime(2026, 11, 24, 14, tzinfo=UTC), 5)
    assert history.read(text, datetime(2026, 11, 24, 14, 59, tzinfo=UTC)) == WarmupDay(1, 20, 5)
    assert history.read(text, datetime(2026, 11, 24, 15, tzinfo=UTC)) == WarmupDay(2, 30, 0)


def test_trials_count_for_themselves_and_use_nothing_of_a_day(history: History):
    text = CAMPAIGN + WARMUP
    history.add("trial/1", text, START - timedelta(days=1), 9, sandbox=True)
    history.add("trial/2", text, START, 15, sandbox=True)
    history.add("trial/3", text, START, 5, transport="outbox")
    history.add("trial/4", text + '[delivery]\ntransport = "outbox"\n', START, 5)
    assert history.read(text, START) == WarmupDay(1, 20, 0)
    assert history.read(text, START, run="trial/2") == WarmupDay(1, 20, 15)
    history.add("real/1", text + '[delivery]\ntransport = "outbox"\n', START, 7, transport="ses")
    assert history.read(text, START) == WarmupDay(1, 20, 7)


def test_a_new_address_under_an_old_domain_begins_at_day_one(history: History):
    history.add("old/1", CAMPAIGN, START - timedelta(days=100), 900)
    history.add("old/2", CAMPAIGN + WARMUP, START - timedelta(days=50), 900)
    assert history.read(CAMPAIGN + THROUGH + WARMUP, START) == WarmupDay(1, 20, 0)
    history.add("new/1", CAMPAIGN + THROUGH + WARMUP, START, 3)
    history.add("old/3", CAMPAIGN, START, 900)
    assert history.read(CAMPAIGN + THROUGH + WARMUP, START) == WarmupDay(1, 20, 3)


def test_domain_with_earlier_mail_begins_its_warm_up_at_day_one(history: History):
    history.add("old/1", CAMPAIGN, START - timedelta(days=100), 900)
    history.add("old/2", CAMPAIGN, START, 4)
    history.add("other/1", CAMPAIGN.replace("acme", "other") + WARMUP, START - timedelta(days=1), 8)
    assert history.read(CAMPAIGN + WARMUP, START) == WarmupDay(1, 20, 4)


def test_unreadable_run_does_not_count_for_the_warm_up(history: History):
    history.add("bad/1", "from = ", START - timedelta(days=1), 9)
    assert history.read(CAMPAIGN + WARMUP, START) == WarmupDay(1, 20, 0)


def test_run_that_an_earlier_version_registers_meanwhile_counts(history: History):
    """During an upgrade, a process of the earlier version may still register a run, without facts."""
    spec = parse_spec(CAMPAIGN + WARMUP, file="campaign.toml")
    read = make_warmup_reader(history.ledger, history.store, spec, "next/1", VirtualClock())
    assert read is not None
    assert read() == WarmupDay(1, 20, 0)
    history.add("earlier/1", CAMPAIGN, START, 9)
    assert read() == WarmupDay(1, 20, 9)


def test_facts_that_were_interrupted_are_completed_by_the_next_call(history: History, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engine.run.facts._RUNS_AT_ONCE", 2)
    for number in range(5):
        history.add(f"earlier/{number}", CAMPAIGN, START, 1)
    read = history.store.read

    def read_until_the_fourth(name: str) -> bytes | None:
        if name.startswith("earlier/3"):
            raise PausedError("the disk fails", where=name, remedy="launch again")
        return read(name)

    with monkeypatch.context() as failing:
        failing.setattr(history.store, "read", read_until_the_fourth)
        with pytest.raises(PausedError):
            complete_facts(history.ledger, history.store)
    with history.ledger.read() as tx:
        assert [run.name for run in runs.list_runs_without_facts(tx)] == ["earlier/2", "earlier/3", "earlier/4"]
    assert history.read(CAMPAIGN + WARMUP, START) == WarmupDay(1, 20, 5)


async def test_facts_of_earlier_runs_do_not_hold_up_a_stop(history: History, monkeypatch: pytest.MonkeyPatch):
    history.add("earlier/1", CAMPAIGN, START, 9)
    stop, is_over = Stop(), threading.Event()

    def read_slowly(_: str) -> None:
        stop_soon()
        is_over.wait(30)

    loop = asyncio.get_running_loop()

    def stop_soon() -> None:
        loop.call_soon_threadsafe(stop.request, StopReason(StopCause.SIGNAL, "SIGINT"))

    monkeypatch.setattr(history.store, "read", read_slowly)
    with pytest.raises(PausedError, match="the facts of earlier runs were read"):
        await complete_facts_unless_stopped(history.ledger, history.store, stop)
    is_over.set()
