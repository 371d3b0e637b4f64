"""A worker's part of the warm-up's day, while messages go on passing the gate."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.clock import ClockedStop, VirtualClock

from engine.account.quota import AccountQuota
from engine.campaign.spec import parse_spec
from engine.delivery.pacing.admission import Admission
from engine.delivery.pacing.budgets import Allowance, Budget
from engine.delivery.pacing.gate import Gate
from engine.delivery.pacing.pacer import Pacer
from engine.delivery.pacing.rate_share import RateShare
from engine.run.send.rates import Rates
from engine.run.send.warmup import WarmupDay, WarmupShare

QUOTA = AccountQuota(1_000.0, None, 0.0, production=True, sending_enabled=True, enforcement="HEALTHY")
SPEC = parse_spec(
    'from = "a@b.example"\nsubject = "s"\nkind = "transactional"\n'
    '[audience]\nsource = "x.csv"\n[content]\ntext = "t"\n',
    file="campaign.toml",
)


@dataclass
class Day:
    """A ledger with the records of one day, and a worker that continues to send while it is read."""

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


@dataclass
class Bench:
    """A worker's rates and gate around its part of the day."""

    rates: Rates
    share: WarmupShare
    gate: Gate
    budget: Budget


def make_bench(day: Day) -> Bench:
    stop: Any = ClockedStop(day.clock)
    recorder: Any = day
    admission = Admission(day.clock)
    rate_share = RateShare(QUOTA, SPEC, day.clock.monotonic())
    share = WarmupShare(
        read=day.read,
        allowance=Allowance(),
        rate_share=rate_share,
        admission=admission,
        recorder=recorder,
        clock=day.clock,
    )

    async def read_quota() -> AccountQuota:
        return QUOTA

    rates = Rates(
        run="r/1",
        read_quota=read_quota,
        rate_share=rate_share,
        pacer=Pacer(QUOTA.max_send_rate, day.clock.monotonic()),
        caps={},
        quota_left=Allowance(),
        warmup=share,
        admission=admission,
        clock=day.clock,
        stop=stop,
    )
    budget = Budget("the cap", share.allowance, share.reread, share.describe, stop, day.clock)
    gate = Gate(rates.pacer, day.clock, stop, [budget], admission)

    def pass_gate() -> None:
        if budget.is_open(1):
            gate._count(1)

    day.pass_gate = pass_gate
    return Bench(rates, share, gate, budget)


@given(
    cap=st.integers(1, 200),
    steps=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10), st.integers(0, 30)), max_size=20),
)
def test_cap_of_the_day_holds_while_the_ledger_is_read(cap: int, steps: list[tuple[int, int, int]]):
    async def send() -> None:
        day = Day(cap)
        bench = make_bench(day)
        share, gate = bench.share, bench.gate
        await share.reread()
        for passing, unrecorded, while_reading in steps:
            for _ in range(passing):
                day.pass_gate()
            day.recorded = max(day.recorded, gate.admitted - unrecorded)
            day.while_reading = while_reading
            await share.reread()
            assert gate.admitted <= cap
        day.while_reading, day.recorded = 0, gate.admitted
        while await gate.admit(1):
            day.recorded += 1
        assert gate.admitted == cap

    asyncio.run(send())


async def test_new_warm_up_day_has_its_own_cap_and_counts_messages_meanwhile():
    day = Day(5)
    bench = make_bench(day)
    share, gate, budget = bench.share, bench.gate, bench.budget
    assert [await gate.admit(1) for _ in range(5)] == [True] * 5
    day.number, day.cap, day.while_reading = 2, 8, 3
    day.pass_gate = lambda: gate._count(1)
    await share.reread()
    assert budget.left == 8 - 3


async def test_workers_never_hold_more_of_the_days_cap_together_than_it_has():
    day = Day(100)
    bench = make_bench(day)
    share, gate, budget = bench.share, bench.gate, bench.budget
    await share.reread()
    bench.rates.divide(2)
    assert budget.left == 50
    for _ in range(50):
        gate._count(1)
    day.recorded = 50 + 20  # the other one sent 20, and 30 are its own
    await share.reread()
    assert budget.left == 0
    bench.rates.divide(1)
    await share.reread()
    assert budget.left == 30
