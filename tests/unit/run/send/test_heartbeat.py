"""What a worker's watch sets: its part of the warm-up's day while messages go on passing the gate."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.clock import ClockedStop, VirtualClock

from engine.account.quota import AccountQuota
from engine.campaign.spec import parse_spec
from engine.delivery.pacing.budgets import Budget
from engine.delivery.pacing.concurrency import Concurrency, LagMeter
from engine.delivery.pacing.gate import Gate
from engine.delivery.pacing.pacer import Pacer
from engine.delivery.pacing.rate_share import RateShare
from engine.ledger.workers import Liveness
from engine.run.guard.evidence import EventGuard
from engine.run.guard.judge import FailureGuard
from engine.run.send.heartbeat import Watch
from engine.run.send.warmup import WarmupDay

QUOTA = AccountQuota(1_000.0, None, 0.0, production=True, sending_enabled=True, enforcement="HEALTHY")
SPEC = parse_spec(
    'from = "a@b.example"\nsubject = "s"\nkind = "transactional"\n'
    '[audience]\nsource = "x.csv"\n[content]\ntext = "t"\n',
    file="campaign.toml",
)


@dataclass
class Day:
    """A ledger that knows what was recorded of one day, and a worker that goes on sending while it is read."""

    cap: int
    number: int = 1
    recorded: int = 0
    while_reading: int = 0
    clock: VirtualClock = field(default_factory=VirtualClock)
    pass_gate: Callable[[], object] = lambda: None

    def read(self) -> WarmupDay:
        day = WarmupDay(self.number, self.cap, self.recorded)
        for _ in range(self.while_reading):
            self.pass_gate()
        return day

    async def flush(self) -> None: ...


def make_watch(day: Day) -> tuple[Watch, Gate, Budget]:
    stop: Any = ClockedStop(day.clock)
    sending: Any = SimpleNamespace(quota=QUOTA, read_warmup=day.read, clock=day.clock, stop=stop)
    recorder: Any = day
    watch = Watch(
        worker_id="me",
        run="r/1",
        sending=sending,
        recorder=recorder,
        liveness=Liveness(),
        limits=RateShare(QUOTA, SPEC, day.clock.monotonic()),
        caps={},
        concurrency=Concurrency(1),
        lag=LagMeter(),
        failures=FailureGuard(1.0, 1.0),
        events=EventGuard(run="r/1", sandbox=False, spec=SPEC.guard),
        canary=None,
    )
    budget = Budget("the cap", None, watch.reread_warmup, watch.describe_warmup, stop, day.clock)
    quota = Budget("the quota", None, watch.reread_quota, None, stop, day.clock)
    gate = Gate(Pacer(QUOTA.max_send_rate, day.clock.monotonic()), day.clock, stop, [budget])
    watch.bind(gate, quota, budget)

    def pass_gate() -> None:
        if budget.is_open(1):
            gate._count(1)

    day.pass_gate = pass_gate
    return watch, gate, budget


@given(
    cap=st.integers(1, 200),
    steps=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10), st.integers(0, 30)), max_size=20),
)
def test_cap_of_the_day_holds_while_the_ledger_is_read(cap: int, steps: list[tuple[int, int, int]]):
    async def send() -> None:
        day = Day(cap)
        watch, gate, _ = make_watch(day)
        await watch.reread_warmup()
        for passing, unrecorded, while_reading in steps:
            for _ in range(passing):
                day.pass_gate()
            day.recorded = max(day.recorded, gate.admitted - unrecorded)
            day.while_reading = while_reading
            await watch.reread_warmup()
            assert gate.admitted <= cap
        day.while_reading, day.recorded = 0, gate.admitted
        while await gate.admit(1):
            day.recorded += 1
        assert gate.admitted == cap

    asyncio.run(send())


async def test_new_warm_up_day_has_its_own_cap_and_counts_messages_meanwhile():
    day = Day(5)
    watch, gate, budget = make_watch(day)
    assert [await gate.admit(1) for _ in range(5)] == [True] * 5
    day.number, day.cap, day.while_reading = 2, 8, 3
    day.pass_gate = lambda: gate._count(1)
    await watch.reread_warmup()
    assert budget.left == 8 - 3


async def test_workers_never_hold_more_of_the_days_cap_together_than_it_has():
    day = Day(100)
    watch, gate, budget = make_watch(day)
    await watch.reread_warmup()
    await watch._share(2)
    assert budget.left == 50
    for _ in range(50):
        gate._count(1)
    day.recorded = 50 + 20  # the other one sent 20, and 30 are its own
    await watch.reread_warmup()
    assert budget.left == 0
    await watch._share(1)
    await watch.reread_warmup()
    assert budget.left == 30
