"""The contract of the time line: each law is tested on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from msgspec.structs import replace
from support.clock import START

from engine.ledger import runs
from engine.ledger.database import Ledger, open_ledger
from engine.ledger.figures import pace
from engine.ledger.figures.pace import PaceSample
from engine.ledger.runs import Run
from engine.ledger.schema import RunState

NAME = "welcome/2026-11-24"
SAMPLE = PaceSample(
    worker="w",
    at=START + timedelta(seconds=60),
    seconds=60.0,
    handed_over=600,
    throttled=1,
    rate_limit=14.0,
    in_flight=3,
    latency_ms=21.5,
)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = open_ledger(ledger_url)
    run = Run(
        name=NAME,
        state=RunState.PLANNED,
        reason=None,
        sandbox=False,
        folder="runs/" + NAME,
        manifest_digest="d" * 64,
        rows_read=9,
        accepted=6,
        excluded={},
        created_at=START,
        started_at=None,
        finished_at=None,
    )
    with opened.write() as tx:
        for name in (NAME, "other/1"):
            runs.insert_run(tx, replace(run, name=name), lease_rows=[2])
    yield opened
    opened.close()


def test_sample_is_recorded_once_when_it_is_tried_twice(ledger: Ledger):
    for _ in range(2):
        with ledger.write() as tx:
            assert pace.add_sample(tx, NAME, SAMPLE) == pace.STEP_SECONDS
    with ledger.read() as tx:
        assert pace.list_samples(tx, NAME) == [SAMPLE]
        assert pace.list_samples(tx, "other/1") == []
    (step,) = pace.read_pace(ledger, NAME)
    assert (step.begins_at, step.handed_over, step.throttled, step.rate_limit) == (START, 600, 1, 14.0)


def test_samples_become_longer_and_end_at_the_bound(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pace, "SAMPLES_EACH", 2)
    monkeypatch.setattr(pace, "MOST_SAMPLES", 5)
    with ledger.write() as tx:
        steps = [pace.add_sample(tx, NAME, replace(SAMPLE, at=START + timedelta(hours=n))) for n in range(7)]
        assert len(pace.list_samples(tx, NAME)) == 5
    assert steps[:5] == [60.0, 120.0, 120.0, 240.0, 240.0]


def test_samples_of_one_run_are_removed(ledger: Ledger):
    with ledger.write() as tx:
        pace.add_sample(tx, NAME, SAMPLE)
        pace.add_sample(tx, "other/1", SAMPLE)
        pace.remove_samples(tx, NAME)
    assert pace.read_pace(ledger, NAME) == []
    assert len(pace.read_pace(ledger, "other/1")) == 1


@pytest.mark.parametrize("seconds", [-1.0, 1e300])
def test_damaged_sample_is_left_out(ledger: Ledger, seconds: float):
    with ledger.write() as tx:
        pace.add_sample(tx, NAME, SAMPLE)
        pace.add_sample(tx, NAME, replace(SAMPLE, worker="damaged", seconds=seconds))
    (step,) = pace.read_pace(ledger, NAME)
    assert (step.handed_over, step.workers) == (600, 1)
