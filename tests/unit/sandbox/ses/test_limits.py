"""The sandbox's rate and quota on a virtual clock."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sandbox.ses.limits import BURST_SECONDS, DAY_SECONDS, RateBucket, RollingQuota, SlidingSecond


class VirtualClock:
    def __init__(self) -> None:
        self.elapsed = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        self.elapsed += seconds


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def accept(bucket: RateBucket, recipients: int) -> bool:
    if not bucket.has_tokens():
        return False
    bucket.take(recipients)
    return True


def test_a_large_call_leaves_a_debt_that_later_calls_wait_for(clock: VirtualClock) -> None:
    bucket = RateBucket(1, clock)
    assert accept(bucket, 5)
    clock.elapsed = 4.0
    assert not accept(bucket, 1)
    clock.elapsed = 4.01
    assert accept(bucket, 1)


def test_pause_saves_at_most_the_burst(clock: VirtualClock) -> None:
    bucket = RateBucket(10, clock)
    clock.elapsed = 3600
    assert [accept(bucket, 1) for _ in range(11)] == [True] * 10 + [False]


def test_a_refused_call_costs_nothing(clock: VirtualClock) -> None:
    bucket = RateBucket(2, clock)
    assert accept(bucket, 2)
    for _ in range(100):
        assert not accept(bucket, 1)
    clock.elapsed = 0.01
    assert accept(bucket, 1)


def test_a_lower_rate_holds_from_the_next_call(clock: VirtualClock) -> None:
    bucket = RateBucket(100, clock)
    bucket.set_rate(3)
    assert [accept(bucket, 1) for _ in range(4)] == [True, True, True, False]


def test_rate_zero_accepts_nothing(clock: VirtualClock) -> None:
    bucket = RateBucket(5, clock)
    bucket.set_rate(0)
    clock.elapsed = 100
    assert not accept(bucket, 1)


@given(
    rate=st.integers(1, 50),
    calls=st.lists(st.tuples(st.floats(0, 0.5, allow_subnormal=False), st.integers(1, 50)), min_size=1, max_size=200),
)
def test_sliding_second_accepts_at_most_rate_burst_and_largest_call(rate: int, calls: list[tuple[float, int]]) -> None:
    clock = VirtualClock()
    bucket, sliding = RateBucket(rate, clock), SlidingSecond(clock)
    accepted: list[tuple[float, int]] = []
    for wait, recipients in calls:
        clock.elapsed += wait
        if accept(bucket, recipients):
            sliding.add(recipients)
            accepted.append((clock.elapsed, recipients))
    sums = [sum(n for at, n in accepted if end - 1 < at <= end) for end, _ in accepted]
    assert sliding.largest == max(sums)
    largest_call = max(n for _, n in accepted)
    assert sliding.largest < rate * (1 + BURST_SECONDS) + largest_call + 1e-6


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=300))
def test_single_recipients_stay_within_rate_and_burst(waits: list[float]) -> None:
    clock = VirtualClock()
    bucket, sliding = RateBucket(10, clock), SlidingSecond(clock)
    for wait in waits:
        clock.elapsed += wait
        if accept(bucket, 1):
            sliding.add(1)
    assert sliding.largest <= 10 + 10 * BURST_SECONDS


def test_the_quota_refuses_what_would_exceed_it(clock: VirtualClock) -> None:
    quota = RollingQuota(10, clock)
    quota.add(8)
    assert quota.has_room(2)
    assert not quota.has_room(3)


def test_quota_drops_each_second_after_a_day(clock: VirtualClock) -> None:
    quota = RollingQuota(10, clock)
    quota.add(6)
    clock.elapsed = 3600
    quota.add(4)
    clock.elapsed = DAY_SECONDS - 1
    assert quota.sent == 10
    clock.elapsed = DAY_SECONDS
    assert quota.sent == 4
    clock.elapsed = DAY_SECONDS + 3600
    assert quota.sent == 0


def test_quota_minus_one_is_unlimited(clock: VirtualClock) -> None:
    quota = RollingQuota(-1, clock)
    quota.add(10**9)
    assert quota.has_room(10**9)
