"""Runs through two regions, with virtual time: one of them is paused, unreachable or throttled in the middle."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from support.simulation import NAME, QUOTA, Receiver, Simulation, Stage, _Renderer, open_stage

from engine.account.quota import AccountQuota
from engine.delivery.outbound import Outbound
from engine.delivery.replies import ReplyMeaning, SendReply
from engine.delivery.transport import Item
from engine.ledger import runs
from engine.ledger.journal import Outcome
from engine.ledger.schema import RunState
from engine.run.frozen import FrozenRun
from engine.run.prepare.routes import Route
from engine.run.send.context import SendContext
from engine.run.send.processes import WorkerProcesses
from engine.run.send.regions.region import RegionPart, RegionProcesses
from engine.run.send.regions.team import RegionTeam
from engine.run.send.wiring import SendJob, send_run
from engine.stopping.stop import Stop

EAST, WEST = "xx-east-1", "xx-west-1"


class BadRegion(Receiver):
    """Gives every call one answer, after some were accepted."""

    meaning = ReplyMeaning.PAUSE
    good = 3

    async def send(self, items: Sequence[Item]) -> Sequence[SendReply]:
        self.good -= 1
        if self.good >= 0:
            return await super().send(items)
        return [SendReply(self.meaning, detail="refused")] * len(items)

    def begin(self, items: Sequence[Item], take: Any) -> bool:  # noqa: ARG002 - as in Receiver
        return False


class SeveralRegions(Simulation):
    """A process that sends through two regions."""

    def __init__(self, seed: int, stage: Stage, meanings: dict[str, ReplyMeaning]) -> None:
        super().__init__(seed, stage)
        self.whole = Stop()
        self.receivers: dict[str, Receiver] = {}
        for region in (EAST, WEST):
            kind = BadRegion if region in meanings else Receiver
            receiver = self.receivers[region] = kind(random.Random(seed), self.loop, faults=0.0)
            receiver.accepted = self.receiver.accepted  # one person, whatever the region
            if isinstance(receiver, BadRegion):
                receiver.meaning = meanings[region]
        self.quotas = {EAST: QUOTA, WEST: QUOTA}
        self.checks = Counter[str]()

    async def _drive(self, frozen: FrozenRun) -> None:
        context = SendContext(
            settings=None,  # type: ignore[arg-type] # a worker reads none
            store=frozen.store,
            ledger=self.ledger,
            clock=self.clock,
            stop=self.whole,
            notifications=None,  # type: ignore[arg-type] # nor does it notify anybody
        )
        processes, loads = WorkerProcesses(None, 1, self.whole, self.clock), dict[str, tuple[int, float]]()

        async def send(context: SendContext, route: Route, part: RegionPart) -> None:
            region = route.outbound.region

            async def read_quota() -> AccountQuota:
                return self.quotas[region]

            job = SendJob(
                frozen=frozen,
                spec=self.stage.spec,
                account=region,
                quota=self.quotas[region],
                read_quota=read_quota,
                transport=self.receivers[region],
                renderer=_Renderer(),  # type: ignore[arg-type] # the methods that a worker calls
                count=lambda _outcome, _recipients: None,
                processes=RegionProcesses(processes, loads, region),
                region=part,
            )
            await send_run(context, job)

        routes = [
            Route(Outbound(spec=self.stage.spec, endpoint=name, account=name, ses=None, region=name), self.quotas[name])
            for name in (EAST, WEST)
        ]

        async def check(outbound: Outbound) -> Route:
            self.checks[outbound.region] += 1
            return Route(outbound, self.quotas[outbound.region])

        team = RegionTeam(context=context, routes=routes, check=check, send=send)
        await asyncio.wait_for(team.run(), 4 * 3600)

    def drive(self) -> runs.Run:
        """Run the process to its end; returns the run as the ledger has it then."""
        random.seed(self.seed)
        self.stage.clean()
        run = self.register()
        with self.looping():
            self.loop.run_until_complete(
                self._drive(FrozenRun(run, self.stage.manifest, self.stage.folder, self.stage.store))
            )
        with self.ledger.read() as tx:
            found = runs.find_run(tx, NAME)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with open_stage() as opened:
        yield opened


@pytest.mark.parametrize("meaning", [ReplyMeaning.PAUSE, ReplyMeaning.QUOTA, ReplyMeaning.UNREACHABLE])
@pytest.mark.parametrize("seed", range(8))
def test_region_that_fails_leaves_its_recipients_to_the_other(stage: Stage, meaning: ReplyMeaning, seed: int):
    simulation = SeveralRegions(seed, stage, {EAST: meaning})
    assert simulation.drive().state is RunState.FINISHED
    assert simulation._check().outcomes == {Outcome.SENT: 24}


@pytest.mark.parametrize("seed", range(8))
def test_recipients_in_doubt_are_never_sent_to_by_the_other_region(stage: Stage, seed: int):
    simulation = SeveralRegions(seed, stage, {EAST: ReplyMeaning.IN_DOUBT})
    simulation.receiver.faults = 0.1  # so that a doubt has a cause
    assert simulation.drive().state is RunState.FINISHED
    outcomes = simulation._check().outcomes
    in_doubt = outcomes[Outcome.IN_DOUBT]
    assert outcomes == Counter({Outcome.SENT: 24 - in_doubt, Outcome.IN_DOUBT: in_doubt})
    assert sum(simulation.receiver.accepted.values()) == 24 - in_doubt


def test_run_pauses_with_the_reasons_of_all_regions(stage: Stage):
    simulation = SeveralRegions(1, stage, dict.fromkeys((EAST, WEST), ReplyMeaning.PAUSE))
    run = simulation.drive()
    assert run.state is RunState.PAUSED
    assert run.reason is not None
    assert f"{EAST}: refused" in run.reason
    assert f"{WEST}: refused" in run.reason


@pytest.mark.parametrize("waits", [False, True])
def test_last_region_alone_waits_for_its_quota(stage: Stage, waits: bool):  # noqa: FBT001 - a parameter
    at_quota = "wait" if waits else "pause"
    delivery = stage.spec.delivery.model_copy(update={"at_quota": at_quota})
    stage.spec = stage.spec.model_copy(update={"delivery": delivery})
    simulation = SeveralRegions(1, stage, {})
    simulation.quotas = dict.fromkeys((EAST, WEST), replace(QUOTA, max_24_hours=6.0))

    async def free_quota() -> None:
        await asyncio.sleep(300)
        simulation.quotas = dict.fromkeys((EAST, WEST), QUOTA)

    simulation.loop.create_task(free_quota())
    assert simulation.drive().state is (RunState.FINISHED if waits else RunState.PAUSED)
    assert sum(simulation.receiver.accepted.values()) == (24 if waits else 12)
    assert bool(simulation.checks) is waits  # the region that has left joins again
