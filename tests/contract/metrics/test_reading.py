"""Samples: the ledger is read rarely, and may be away."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from sqlalchemy import Connection
from support.clock import VirtualClock

from engine.errors import UnreachableError
from engine.ledger.database import Ledger, open_ledger
from engine.logs import capture_logs
from engine.metrics import catalogue
from engine.metrics.meter import Meter
from engine.metrics.reading import KEPT_SECONDS, SampleReader
from engine.metrics.samples import MonitoredCommand


class CountedLedger:
    """A ledger that counts its transactions, and may be away."""

    def __init__(self, path: Path) -> None:
        self.ledger = open_ledger(f"sqlite:///{path}/ledger.db")
        self.reads = 0
        self.is_away = False

    @contextmanager
    def read(self) -> Iterator[Connection]:
        self.reads += 1
        if self.is_away:
            raise UnreachableError("the ledger cannot be reached", where="here", remedy="start it")
        with self.ledger.read() as tx:
            yield tx


def make_reader(ledger: CountedLedger, clock: VirtualClock) -> SampleReader:
    command = MonitoredCommand(name="launch", campaign="news", sandbox=False, version="1", started_at=0.0)
    return SampleReader(command, Meter(), cast(Ledger, ledger), clock, clock.monotonic)


def is_up(reader: SampleReader) -> bool:
    return next(sample.value for sample in reader.read() if sample.metric is catalogue.LEDGER_UP) == 1


def test_many_readers_ask_the_ledger_once_in_a_while(tmp_path: Path):
    ledger, clock = CountedLedger(tmp_path), VirtualClock()
    reader = make_reader(ledger, clock)
    assert all(is_up(reader) for _ in range(20))
    assert ledger.reads == 1
    clock.advance(KEPT_SECONDS)
    assert is_up(reader)
    assert ledger.reads == 2
    reader.end()  # the last figures are new
    assert is_up(reader)
    assert ledger.reads == 3
    ledger.ledger.close()


def test_ledger_that_is_away_shows_and_comes_back(tmp_path: Path):
    ledger, clock = CountedLedger(tmp_path), VirtualClock()
    reader = make_reader(ledger, clock)
    ledger.is_away = True
    with capture_logs() as events:
        assert not is_up(reader)
    assert [event["event"] for event in events] == ["metrics.ledger"]
    ledger.is_away = False
    clock.advance(KEPT_SECONDS)
    assert is_up(reader)
    ledger.ledger.close()
