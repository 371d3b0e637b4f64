"""After a wait of any length, who must not be sent to any more, or not at this hour, is not sent to."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from support.simulation import NAME, RECIPIENTS, Process, Receiver, Simulation, Stage, open_stage

from engine.campaign.spec_sections import WindowSpec
from engine.delivery.replies import ReplyMeaning, SendReply
from engine.delivery.transport import Item
from engine.ledger import leases
from engine.ledger.journal import Outcome
from engine.ledger.suppressed.forgotten import add_forgotten
from engine.ledger.suppressed.suppressions import Suppression, add_suppressions
from engine.run.frozen import FrozenRun
from engine.run.send.recheck import FRESH_SECONDS
from engine.store.keys import read_forget_key

KEY = "k"  # of every address of the simulation's plan


class Throttling(Receiver):
    """Throttles everything until it is changed, then accepts everything."""

    throttles = True
    throttled = 0

    async def send(self, items: Sequence[Item]) -> Sequence[SendReply]:
        if self.throttles:
            self.throttled += len(items)
            return [SendReply(ReplyMeaning.SLOW_DOWN, detail="Maximum sending rate exceeded.")] * len(items)
        return [self._accept(item) for item in items]


class WaitingRun(Simulation):
    """One worker, whose first attempts are all throttled for some time."""

    def __init__(self, stage: Stage, *, most_items: int) -> None:
        super().__init__(1, stage)
        self.receiver: Throttling = Throttling(self.dice, self.loop, faults=0.0, most_items=most_items)

    async def _drive(self, frozen: FrozenRun) -> None:
        task = self._start(frozen, Process(self.loop))
        await asyncio.sleep(20.0)
        assert self.receiver.throttled
        await self.meanwhile()
        await asyncio.sleep(2 * FRESH_SECONDS)
        self.receiver.throttles = False
        await asyncio.sleep(600.0)
        await self.after(task)

    async def meanwhile(self) -> None:
        """Let happen what the story is about."""

    async def after(self, task: asyncio.Task[None]) -> None:
        await asyncio.wait_for(task, 600.0)


class SuppressedRun(WaitingRun):
    async def meanwhile(self) -> None:
        with self.ledger.write() as tx:
            add_suppressions(tx, [Suppression(KEY, "", "bounce", "events", self.clock.now())])


class ForgottenRun(WaitingRun):
    async def meanwhile(self) -> None:
        secret = read_forget_key(self.stage.store)
        with self.ledger.write() as tx:
            add_forgotten(tx, KEY, secret, self.clock.now())


@pytest.fixture
def stage() -> Iterator[Stage]:
    with open_stage() as opened:
        yield opened


@pytest.mark.parametrize("most_items", [1, 4])
@pytest.mark.parametrize("story", [SuppressedRun, ForgottenRun])
def test_recipient_suppressed_while_waiting_for_a_retry_is_not_mailed(
    stage: Stage, story: type[WaitingRun], most_items: int
):
    run = story(stage, most_items=most_items)
    told = run.run()
    assert not run.receiver.accepted
    assert told.outcomes == {Outcome.FAILED: RECIPIENTS}


class NoonRun(WaitingRun):
    """The recipients' window closes at noon, while the messages wait, and opens again twelve minutes later."""

    async def meanwhile(self) -> None:
        self.clock.jump = timedelta(hours=3)

    async def after(self, task: asyncio.Task[None]) -> None:
        assert not self.receiver.accepted, "it is noon where they are"
        with self.ledger.read() as tx:
            assert leases.count_unsettled(tx, NAME)
        await asyncio.wait_for(task, 3600.0)


@pytest.mark.parametrize("most_items", [1, 4])
def test_retry_after_the_window_closed_is_sent_when_it_opens(most_items: int):
    window = WindowSpec.model_validate({"from": "12:12", "to": "12:00", "timezone": "column:tz"})
    with open_stage(columns={"tz": "Europe/London"}) as stage:
        stage.spec = stage.spec.model_copy(update={"window": window})
        told = NoonRun(stage, most_items=most_items).run()
    assert told.outcomes == {Outcome.SENT: RECIPIENTS}
