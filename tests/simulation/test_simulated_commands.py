"""Commands from another terminal take effect within two seconds of the workers' time, however busy a machine is."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
from support import simulation
from support.simulation import NAME, RECIPIENTS, Process, Receiver, SeedReport, Simulation, Stage, open_stage

from engine.account.quota import AccountQuota
from engine.ledger.journal import Outcome
from engine.run import control
from engine.run.frozen import FrozenRun

TAKES_EFFECT_SECONDS = 2.0  # as the guide "Stop and resume a run" promises
SLOW = AccountQuota(1.0, None, 0.0, production=True, sending_enabled=True, enforcement="HEALTHY")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """One message a second, so that a run takes long enough to be paused in the middle."""
    monkeypatch.setattr(simulation, "QUOTA", SLOW)
    with open_stage() as opened:
        yield opened


class CommandedRun(Simulation):
    """A run without faults, with two workers."""

    def __init__(self, stage: Stage, after: int) -> None:
        super().__init__(1, stage)
        self.after = after  # how many messages the command comes
        self.receiver = Receiver(self.dice, self.loop, faults=0.0)

    async def _drive(self, frozen: FrozenRun) -> None:
        tasks = [self._start(frozen, Process(self.loop)) for _ in range(2)]
        while self.receiver.accepted.total() < self.after:  # noqa: ASYNC110 - in virtual time
            await asyncio.sleep(0.1)
        await self.command()
        await asyncio.wait_for(asyncio.gather(*tasks), 120.0)

    async def command(self) -> None:
        """Do what the story is about."""
        raise NotImplementedError

    async def count_after(self, seconds: float) -> int:
        """Count what is accepted some time from now."""
        await asyncio.sleep(seconds)
        return self.receiver.accepted.total()


class PausedRun(CommandedRun):
    async def command(self) -> None:
        control.pause(self.ledger, NAME, reason="wrong price", clock=self.clock)
        stands = await self.count_after(TAKES_EFFECT_SECONDS)
        assert await self.count_after(60.0) == stands < RECIPIENTS
        control.resume(self.ledger, NAME, clock=self.clock)
        assert await self.count_after(TAKES_EFFECT_SECONDS + 1.0 / SLOW.max_send_rate) > stands


class CancelledRun(CommandedRun):
    async def command(self) -> None:
        control.cancel(self.ledger, NAME, reason="called off", clock=self.clock)
        self.stands = await self.count_after(TAKES_EFFECT_SECONDS)

    def _check(self) -> simulation.SeedReport:
        assert self.receiver.accepted.total() == self.stands < RECIPIENTS
        assert set(self.receiver.accepted.values()) == {1}
        return SeedReport(self.seed, 0, 0, Counter({Outcome.SENT: self.stands}), 0.0, "")


@pytest.mark.parametrize("after", range(3, 8))
def test_pause_and_resume_take_effect_within_two_seconds(stage: Stage, after: int):
    assert PausedRun(stage, after).run().outcomes == {Outcome.SENT: RECIPIENTS}


@pytest.mark.parametrize("after", range(3, 8))
def test_cancel_takes_effect_within_two_seconds(stage: Stage, after: int):
    assert CancelledRun(stage, after).run().outcomes[Outcome.SENT] >= after
