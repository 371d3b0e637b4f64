"""The figures for monitoring: each law is tested on SQLite and on PostgreSQL."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, insert
from support.clock import START

from engine.ledger import leases, runs
from engine.ledger.database import Ledger, open_ledger
from engine.ledger.figures import campaigns
from engine.ledger.figures.campaigns import CampaignFigures, read_figures
from engine.ledger.journal import Outcome, encode_entries, make_intents, make_sent
from engine.ledger.leases import Lease, Settlement
from engine.ledger.runs import Run
from engine.ledger.schema import RunState, feedback_domain_table, worker_table

RUN = Run(
    name="news/1",
    state=RunState.PLANNED,
    reason=None,
    sandbox=False,
    folder="runs/news/1",
    manifest_digest="d" * 64,
    rows_read=6,
    accepted=6,
    excluded={},
    created_at=START,
    started_at=None,
    finished_at=None,
)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = open_ledger(ledger_url)
    yield opened
    opened.close()


def add_run(tx: Connection, name: str, *, age_days: int = 0, sandbox: bool = False, finished: bool = False) -> None:
    at = START - timedelta(days=age_days)
    run = replace(RUN, name=name, folder=f"runs/{name}", created_at=at, sandbox=sandbox)
    runs.insert_run(tx, run, lease_rows=[] if finished else [2, 2, 2])
    runs.start_run(tx, name, at)
    if finished:
        assert runs.finish_run(tx, name, at + timedelta(hours=1))


def take(tx: Connection, *holding: int) -> Lease:
    lease = leases.take_lease(tx, "news/1", worker="w", live={"w"}, holding=holding)
    assert lease is not None
    return lease


def read_one(ledger: Ledger, campaign: str = "news", *, sandbox: bool = False) -> CampaignFigures:
    (found,) = [
        one for one in read_figures(ledger, START).campaigns if (one.campaign, one.sandbox) == (campaign, sandbox)
    ]
    return found


def test_newest_run_counts_and_the_last_success_is_of_any_run(ledger: Ledger):
    with ledger.write() as tx:
        add_run(tx, "news/0", age_days=1, finished=True)
        add_run(tx, "news/1")
        add_run(tx, "news/2", age_days=2, sandbox=True, finished=True)
    mine, trial = read_one(ledger), read_one(ledger, sandbox=True)
    assert (mine.state, mine.unsent, mine.leases) == (RunState.SENDING, 6, {"settled": 0, "open": 0, "free": 3})
    assert mine.last_success_at == START - timedelta(hours=23)
    assert (trial.state, trial.last_success_at) == (RunState.FINISHED, START - timedelta(hours=47))


@pytest.mark.parametrize("is_alive", [True, False])
def test_call_without_an_answer_is_in_flight_while_its_worker_lives(ledger: Ledger, *, is_alive: bool):
    with ledger.write() as tx:
        add_run(tx, "news/1")
        at = START if is_alive else START - timedelta(minutes=1)
        row = {"id": "w", "run": "news/1", "account": "ses", "host": "elsewhere", "process": "1/"}
        tx.execute(insert(worker_table).values(heartbeat_at=at, **row))
        first = take(tx)
        second = take(tx, first.ordinal)
        sent = make_sent([0], ["m"], [1], 1.0)
        leases.append_journal(tx, first, sequence=1, entries=encode_entries([*make_intents([0, 1]), *sent]))
        counts = {Outcome.SENT: 1, Outcome.FAILED: 1}
        leases.settle_lease(tx, second, Settlement(counts, "f.parquet", "e" * 64), START)
    found = read_one(ledger)
    in_doubt = found.outcomes[Outcome.IN_DOUBT]
    assert (found.in_flight, in_doubt, found.workers) == ((1, 0, 1) if is_alive else (0, 1, 0))
    assert (found.outcomes[Outcome.SENT], found.outcomes[Outcome.FAILED], found.unsent) == (2, 1, 2)
    assert found.leases == {"settled": 1, "open": 1, "free": 1}
    assert found.oldest_open_at is not None
    assert found.last_commit_at is not None
    assert found.last_commit_at >= found.oldest_open_at


@pytest.mark.parametrize(("others", "waits"), [("a quota", True), (None, False)])
def test_run_waits_if_all_its_live_workers_do(ledger: Ledger, others: str | None, *, waits: bool):
    ages = {"a": (0, "the sending window"), "b": (2, others), "dead": (99, None)}
    with ledger.write() as tx:
        add_run(tx, "news/1")
        for worker, (age, wait) in ages.items():
            row = {"id": worker, "run": "news/1", "account": "ses", "host": "elsewhere", "process": "1/"}
            vitals = json.dumps({"waits_for": wait})
            tx.execute(insert(worker_table).values(heartbeat_at=START - timedelta(seconds=age), vitals=vitals, **row))
    assert read_one(ledger).last_wait_at == (START if waits else None)


def test_run_without_workers_does_not_wait(ledger: Ledger):
    with ledger.write() as tx:
        add_run(tx, "news/1")
    assert read_one(ledger).last_wait_at is None


def test_receivers_of_recent_runs_add_up_apart_from_the_sandbox(ledger: Ledger):
    with ledger.write() as tx:
        for name, age, sandbox in (("news/1", 0, False), ("b/1", 1, False), ("c/1", 30, False), ("d/1", 0, True)):
            add_run(tx, name, age_days=age, sandbox=sandbox, finished=True)
            counts = dict.fromkeys(("proven", "delivered", "bounced", "soft_bounced"), 2)
            more = dict.fromkeys(("provider_suppressed", "complained", "rejected"), 1)
            tx.execute(insert(feedback_domain_table).values(run=name, domain="x.example", **counts, **more))
    counts = {"delivered": 4, "bounced": 4, "soft_bounced": 4, "complained": 2}
    trial = {name: count // 2 for name, count in counts.items()}
    assert read_figures(ledger, START).receivers == {(False, "x.example"): counts, (True, "x.example"): trial}


def test_campaigns_are_bounded_by_the_newest_runs(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(campaigns, "MOST_CAMPAIGNS", 2)
    with ledger.write() as tx:
        for number in range(5):
            add_run(tx, f"c{number}/1", age_days=number, finished=True)
    assert [one.campaign for one in read_figures(ledger, START).campaigns] == ["c0", "c1"]
