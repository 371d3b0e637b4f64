"""A worker that stops while the ledger is unreachable: it waits for the ledger, unless a signal hurries it."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from support.simulation import NAME, Process, Receiver, Simulation, Stage, open_stage

from engine.campaign.spec_sections import GuardSpec
from engine.delivery.replies import ReplyMeaning, SendReply
from engine.delivery.transport import Item
from engine.errors import UnreachableError
from engine.ledger import runs
from engine.ledger.runs import GUARD
from engine.ledger.schema import RunState
from engine.run.frozen import FrozenRun
from engine.run.guard.judge import FEWEST_LOSSES
from engine.run.send.wiring import LAST_PATIENCE_SECONDS
from engine.stopping.stop import StopCause, StopReason

OUTAGE_SECONDS = 10 * LAST_PATIENCE_SECONDS


class CutOffRun(Simulation):
    """A machine loses its network: calls get no answer, which trips the guard, and the ledger cannot be reached."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(1, stage)
        self.receiver: Unanswered = Unanswered(self.dice, self.loop, faults=0.0, most_items=4)
        self.receiver.run = self
        self.cut = asyncio.Event()

    async def _drive(self, frozen: FrozenRun) -> None:
        task = self._start(frozen, Process(self.loop))
        await self.cut.wait()
        await asyncio.sleep(1.0)
        assert self.stop.reason is not None
        assert self.stop.reason.cause is StopCause.GUARDED
        await self.after(task)

    async def after(self, task: asyncio.Task[None]) -> None:
        await task


class Unanswered(Receiver):
    """Answers no call. Once that is enough for the guard, the ledger is unreachable, too."""

    run: CutOffRun
    lost = 0

    async def send(self, items: Sequence[Item]) -> Sequence[SendReply]:
        self.lost += len(items)
        if self.lost >= FEWEST_LOSSES and not self.run.cut.is_set():
            self.run.ledger.away_until = self.loop.seconds + OUTAGE_SECONDS
            self.run.cut.set()
        return [SendReply(ReplyMeaning.IN_DOUBT, detail="no answer")] * len(items)


class SignalledRun(CutOffRun):
    """As a CutOffRun; and a person, or a scheduler, stops the worker meanwhile."""

    async def after(self, task: asyncio.Task[None]) -> None:
        self.stop.request(StopReason(StopCause.SIGNAL, "stopped by SIGTERM"))
        begun = self.loop.seconds
        with pytest.raises(UnreachableError):
            await task
        assert self.loop.seconds - begun < 3 * LAST_PATIENCE_SECONDS


@pytest.fixture
def stage() -> Iterator[Stage]:
    with open_stage() as opened:
        opened.spec = opened.spec.model_copy(update={"guard": GuardSpec()})
        yield opened


def drive(run: CutOffRun) -> runs.Run:
    """Run it, and return the run as the ledger has it afterwards."""
    run.stage.clean()
    registered = run.register()
    with run.looping():
        run.loop.run_until_complete(
            run._drive(FrozenRun(registered, run.stage.manifest, run.stage.folder, run.stage.store))
        )
    with run.ledger.read() as tx:
        found = runs.find_run(tx, NAME)
    assert found is not None
    return found


def test_worker_that_the_guard_stops_waits_for_the_ledger(stage: Stage):
    run = CutOffRun(stage)
    ended = drive(run)
    assert (ended.state, ended.paused_by) == (RunState.PAUSED, GUARD)
    assert "no answer" in str(ended.reason)


def test_signal_shortens_the_wait_for_the_ledger(stage: Stage):
    assert drive(SignalledRun(stage)).state is RunState.SENDING
