"""Retry, stop and gate: when one message waits, and when all do."""

import asyncio
from datetime import time
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from support.clock import ClockedStop, VirtualClock

from engine.delivery.pacing.admission import Admission
from engine.delivery.pacing.budgets import Allowance, Budget, Hours
from engine.delivery.pacing.gate import Gate
from engine.delivery.pacing.pacer import Pacer
from engine.delivery.pacing.window import Window
from engine.delivery.replies import ReplyMeaning
from engine.delivery.retry import POLICIES, RetryPolicy, draw_jitter
from engine.run.send.wiring import QUOTA_USED_UP
from engine.stopping.stop import Stop, StopCause, StopReason

SIGNAL = StopReason(StopCause.SIGNAL, "stopped by SIGTERM")
POLICY = RetryPolicy(first_seconds=0.5, longest_seconds=20, attempts=6, seconds=120)


# -- retry -------------------------------------------------------------------------------------------------------------


def test_the_range_of_waits_doubles_up_to_the_longest():
    waits = [POLICY.next_wait(attempts=n, elapsed_seconds=0, jitter=1.0) for n in range(1, 6)]
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert RetryPolicy(0.5, 5, 1000, 600).next_wait(attempts=900, elapsed_seconds=0, jitter=1.0) == 5.0


def test_jitter_spreads_a_wait_over_the_whole_range():
    assert POLICY.next_wait(attempts=1, elapsed_seconds=0, jitter=0.0) == 0.0
    assert POLICY.next_wait(attempts=1, elapsed_seconds=0, jitter=0.5) == 0.5


def test_retry_stops_after_the_last_attempt():
    assert POLICY.next_wait(attempts=5, elapsed_seconds=0, jitter=0.0) is not None
    assert POLICY.next_wait(attempts=6, elapsed_seconds=0, jitter=0.0) is None


def test_retry_stops_if_the_wait_would_end_too_late():
    assert POLICY.next_wait(attempts=1, elapsed_seconds=119, jitter=1.0) == 1.0
    assert POLICY.next_wait(attempts=1, elapsed_seconds=119.1, jitter=1.0) is None


def test_only_what_was_certainly_not_accepted_has_a_policy():
    never = {
        ReplyMeaning.RETRY,
        ReplyMeaning.RETRY_ONCE,
        ReplyMeaning.SPLIT,
        ReplyMeaning.QUOTA,
        ReplyMeaning.UNREACHABLE,
        ReplyMeaning.SLOW_DOWN,
    }
    assert set(POLICIES) == never


def test_jitter_is_drawn_from_0_to_1():
    assert all(0.0 <= draw_jitter() <= 1.0 for _ in range(100))


# -- stop --------------------------------------------------------------------------------------------------------------


def test_the_first_reason_stays():
    stop = Stop()
    stop.request(SIGNAL)
    stop.request(StopReason(StopCause.ERROR, "later"))
    assert stop.reason == SIGNAL


async def test_a_wait_ends_with_the_request():
    stop = Stop()
    waiting = asyncio.create_task(stop.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    stop.request(SIGNAL)
    assert await waiting is True
    assert await stop.wait(0.0) is True


async def test_stop_wait_returns_false_after_its_time():
    assert await Stop().wait(0.0) is False


# -- gate --------------------------------------------------------------------------------------------------------------


def make_gate(clock: VirtualClock, stop: Stop, *, rate: float = 10.0, left: float | None = None) -> Gate:
    async def reread() -> None: ...

    quota = Budget("the 24-hour quota", Allowance(left), reread, lambda: QUOTA_USED_UP, stop, clock)
    return Gate(Pacer(rate, clock.monotonic()), clock, stop, [quota])


async def test_admissions_keep_the_rate(clock: VirtualClock):
    gate = make_gate(clock, ClockedStop(clock), rate=10.0)
    begun = clock.monotonic()
    for _ in range(100):
        assert await gate.admit(1)
    assert clock.monotonic() - begun == pytest.approx((100 - 1.5) / 10.0, abs=0.2)


async def test_admissions_without_waiting_keep_the_rate(clock: VirtualClock):
    gate = make_gate(clock, ClockedStop(clock), rate=10.0)
    begun, admitted = clock.monotonic(), 0
    while clock.monotonic() - begun < 10.0:
        while gate.admit_now(1):
            admitted += 1
        await clock.sleep(0.01)
    assert admitted == gate.admitted == pytest.approx(100, abs=3)


async def test_nothing_is_admitted_before_a_call_that_waits(clock: VirtualClock):
    gate = make_gate(clock, ClockedStop(clock), rate=10.0)
    while gate.admit_now(1):
        pass
    waiting = asyncio.create_task(gate.admit(1))
    await asyncio.sleep(0)
    gate.pacer.set_ceiling(1e6, clock.monotonic())
    gate.pacer.take(0, clock.monotonic() + 1.0)  # there are tokens for both, and one call was first
    assert not gate.admit_now(1)
    assert await waiting
    assert gate.admit_now(1)


@pytest.mark.parametrize("bar", ["stopped", "paused", "held", "empty", "released"])
async def test_call_that_must_wait_is_not_admitted_at_once(clock: VirtualClock, bar: str):
    gate = make_gate(clock, stop := ClockedStop(clock), rate=1e6, left=0 if bar == "empty" else None)
    if bar == "stopped":
        stop.request(SIGNAL)
    elif bar == "paused":
        gate.admission.is_paused = True
    elif bar == "held":
        gate.admission.hold(1.0)
    elif bar == "released":
        await gate.release_share()
    assert not gate.admit_now(1)
    assert gate.admitted == 0


async def test_waiters_are_admitted_one_by_one_in_order_of_arrival(clock: VirtualClock):
    gate, order = make_gate(clock, stop := ClockedStop(clock)), []

    async def come(number: int) -> None:
        await gate.admit(1)
        order.append((number, clock.monotonic()))

    await asyncio.gather(*(come(i) for i in range(20)))
    assert [number for number, _ in order] == list(range(20))
    assert len(stop.waits) <= 20  # only the first in the row ever looked at the clock
    times = [at for _, at in order]
    assert all(later - earlier >= 0.099 for earlier, later in pairwise(times[1:]))


async def test_the_quota_is_never_overdrawn_and_its_end_pauses_the_run(clock: VirtualClock):
    gate = make_gate(clock, stop := ClockedStop(clock), rate=1e6, left=5)
    assert [await gate.admit(2) for _ in range(4)] == [True, True, False, False]
    assert stop.reason is not None
    assert stop.reason.cause is StopCause.PAUSED
    assert "24-hour quota" in stop.reason.text
    assert "24-hour quota" in stop.reason.remedy


async def test_quota_given_back_may_be_used(clock: VirtualClock):
    gate = make_gate(clock, ClockedStop(clock), rate=1e6, left=1)
    for _ in range(3):
        assert await gate.admit(1)
        gate.give_back(1)


async def test_an_unlimited_quota_stays_unlimited(clock: VirtualClock):
    gate = make_gate(clock, ClockedStop(clock), rate=1e6)
    gate.give_back(1)
    for _ in range(3):
        assert await gate.admit(1)


async def test_nothing_is_admitted_while_the_run_is_paused(clock: VirtualClock):
    gate = make_gate(clock, ClockedStop(clock))
    gate.admission.is_paused, begun = True, clock.monotonic()

    async def resume() -> None:
        await clock.sleep(1.0)
        gate.admission.is_paused = False

    resuming = asyncio.create_task(resume())
    assert await gate.admit(1)
    await resuming
    assert clock.monotonic() - begun >= 1.0


@pytest.mark.parametrize("bar", ["held", "window"])
async def test_released_worker_claims_its_part_before_it_sends(clock: VirtualClock, bar: str):
    stop = ClockedStop(clock)
    hours = Hours(Window(time(10), time(20)), ZoneInfo("UTC"), None, pauses=False, stop=stop, clock=clock)
    admission, told, begun = Admission(clock), list[tuple[str, float]](), clock.monotonic()

    class Others:
        async def release_share(self) -> None:
            told.append(("released", clock.monotonic() - begun))

        async def claim_share(self) -> None:
            told.append(("claimed", clock.monotonic() - begun))
            admission.hold(1.5)

    limits = [hours] if bar == "window" else []
    gate = Gate(Pacer(10.0, clock.monotonic()), clock, stop, limits, admission, Others())
    admission.is_paused = bar == "held"
    admitting = asyncio.create_task(gate.admit(1))
    while admission.is_paused:
        await asyncio.sleep(0)
        admission.is_paused = clock.monotonic() - begun < 3_600.0
    assert await admitting
    (first, at), (second, again) = told
    assert (first, at, second) == ("released", 0.0, "claimed")
    assert again >= 3_600.0  # the window opens an hour after the clock's beginning
    assert clock.monotonic() - begun >= again + 1.5
    assert await gate.admit(1)
    assert len(told) == 2


async def test_a_new_ceiling_reaches_the_pacer_and_a_throttle_too(clock: VirtualClock):
    gate = make_gate(clock, ClockedStop(clock))
    gate.pacer.set_ceiling(40.0, clock.monotonic())
    assert gate.pacer.limit == 40.0
    gate.throttle()
    assert gate.pacer.limit < 40.0


async def test_stop_turns_away_current_and_later_waiters(clock: VirtualClock):
    stop = Stop()  # the real one: it ends the wait of the first in the row at once
    gate = make_gate(clock, stop, rate=0.001)
    assert await gate.admit(1)
    waiting = [asyncio.create_task(gate.admit(1)) for _ in range(3)]
    await asyncio.sleep(0)
    stop.request(SIGNAL)
    assert await asyncio.gather(*waiting) == [False] * 3
    assert not await gate.admit(1)
