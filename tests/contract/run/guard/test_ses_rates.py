"""The guard over SES's own rates, with a ledger: what it records, and what CloudWatch may not do to a run."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from support.clock import VirtualClock

from engine.account.reputation.limits import RateKind
from engine.campaign.spec_sections import GuardSpec
from engine.errors import ServiceError
from engine.ledger.database import Ledger, open_ledger
from engine.ledger.decisions import Decision, list_decisions, record_decision
from engine.ledger.recorder import Recorder
from engine.run.guard.ses_rates import EVERY_SECONDS, SesRateGuard, find_limits
from engine.stopping.stop import Stop, StopCause

RUN = "hello/test"
Read = Callable[[], Awaitable[Mapping[RateKind, float]]]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


class InlineRecorder:
    """Runs a transaction at once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def transact(self, work: Callable[[Any], Any]) -> Any:
        with self._ledger.write() as tx:
            return work(tx)


def make_guard(ledger: Ledger, read: Read | None, clock: VirtualClock, *, run: str = RUN) -> SesRateGuard:
    recorder = cast("Recorder", InlineRecorder(ledger))
    return SesRateGuard(
        run=run, limits=find_limits(GuardSpec()), read=read, recorder=recorder, clock=clock, stop=Stop()
    )


def reading(*answers: Mapping[RateKind, float] | Exception) -> tuple[Read, list[int]]:
    """Return what answers with these, the last again and again, and the number of reads."""
    left, count = list(answers), [0]

    async def read() -> Mapping[RateKind, float]:
        count[0] += 1
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return read, count


async def test_a_pause_is_recorded_and_a_resume_acknowledges_it(ledger: Ledger) -> None:
    read, _ = reading({RateKind.BOUNCE: 0.06})
    clock = VirtualClock()
    guard = make_guard(ledger, read, clock)
    await guard.check_first()
    assert guard.stop.reason is not None
    assert guard.stop.reason.cause is StopCause.GUARDED
    assert "mailrun resume RUN" in guard.stop.reason.remedy
    with ledger.write() as tx:
        (decision,) = list_decisions(tx, RUN)
        record_decision(tx, Decision(RUN, clock.now(), "ann@host", "resume", {}))
    assert (decision.who, decision.detail["ses_rates"]) == ("guard", {"bounce": 0.06})
    for run in (RUN, "other/run"):
        resumed = make_guard(ledger, read, clock, run=run)
        await resumed.check_first()
        assert not resumed.stop.requested
    clock.advance(timedelta(days=8).total_seconds())
    own, other = make_guard(ledger, read, clock), make_guard(ledger, read, clock, run="other/run")
    await own.check_first()
    await other.check_first()
    assert (own.stop.requested, other.stop.requested) == (False, True)


async def test_watch_reads_again_and_pauses_once_a_rate_rises(ledger: Ledger) -> None:
    read, count = reading({}, {RateKind.COMPLAINT: 0.0006}, {RateKind.COMPLAINT: 0.0011})
    clock = VirtualClock()
    guard = make_guard(ledger, read, clock)
    watching = asyncio.create_task(guard.watch())
    await asyncio.wait_for(guard.stop.wait(), 30)
    watching.cancel()
    assert count[0] == 3
    assert clock.seconds - 1000.0 >= 3 * EVERY_SECONDS
    with ledger.read() as tx:
        assert len(list_decisions(tx, RUN)) == 1


@pytest.mark.parametrize(
    "error", [ServiceError("CloudWatch answered AccessDenied", remedy="add this line"), ValueError("bad timestamp")]
)
async def test_rates_that_cannot_be_read_warn_once_and_never_stop(
    ledger: Ledger, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    read, count = reading(error)
    guard = make_guard(ledger, read, VirtualClock())
    await guard.check_first()
    for _ in range(3):
        await guard.check()
    assert (count[0], guard.stop.requested) == (4, False)
    assert capsys.readouterr().err.count("guard.ses_rates_unread") == 1


async def test_a_server_that_never_answers_delays_the_first_message_only_so_long(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read() -> Mapping[RateKind, float]:
        await asyncio.Event().wait()
        return {}

    monkeypatch.setattr("engine.run.guard.ses_rates.FIRST_SECONDS", 0.01)
    guard = make_guard(ledger, read, VirtualClock())
    await asyncio.wait_for(guard.check_first(), 30)
    assert not guard.stop.requested


async def test_a_run_elsewhere_reads_nothing(ledger: Ledger) -> None:
    guard = make_guard(ledger, None, VirtualClock())
    await guard.check_first()
    await guard.watch()
    assert not guard.stop.requested
