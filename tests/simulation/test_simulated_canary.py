"""Whatever happens to its workers, a run sends only to its canary before the gate is opened."""

import asyncio
import os

import pytest
from support.simulation import NAME, RECIPIENTS, Simulation, open_stage

from engine.campaign.spec_sections import CanarySpec
from engine.errors import UnreachableError
from engine.ledger.decisions import Decision, record_decision
from engine.run.frozen import FrozenRun
from engine.run.guard.canary import APPROVED

CANARY = 10  # a lease and a part of the next
SEEDS = range(60 if os.environ.get("SOAK") else 8)


class ApprovedRun(Simulation):
    """A run whose gate a person opens after some time."""

    before: frozenset[int] = frozenset()
    is_approved = False

    async def _drive(self, frozen: FrozenRun) -> None:
        approving = asyncio.create_task(self._approve())
        await super()._drive(frozen)
        approving.cancel()

    async def _approve(self) -> None:
        await asyncio.sleep(self.dice.uniform(5.0, 200.0))
        while not self.is_approved:
            self.before = frozenset(self.receiver.accepted)
            try:
                with self.ledger.write() as tx:
                    record_decision(tx, Decision(NAME, self.clock.now(), "somebody", APPROVED, {}))
                    self.is_approved = True
            except UnreachableError:
                await asyncio.sleep(1.0)


@pytest.mark.timeout(600)
def test_nobody_beyond_the_canary_is_sent_to_before_the_gate_is_opened():
    complete = 0
    with open_stage() as stage:
        stage.spec = stage.spec.model_copy(update={"canary": CanarySpec(recipients=CANARY, wait="90d")})
        for seed in SEEDS:
            run = ApprovedRun(seed, stage)
            told = run.run()  # ends when every recipient has an outcome
            assert run.is_approved
            assert run.before <= set(range(1, CANARY + 1)), seed
            assert told.outcomes.total() == RECIPIENTS
            complete += len(run.before) == CANARY
    assert complete > len(SEEDS) / 4, "the canary as a whole went out before the gate was opened"
