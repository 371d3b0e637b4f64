"""The pacer under a virtual clock: full use of the rate, throttles, no bursts, no lockstep."""

import heapq
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.delivery.pacing.pacer import BURST_SECONDS, FLOOR, Pacer

RATES = st.floats(0.5, 10_000)


def send_for(pacer: Pacer, now: float, seconds: float, size: int = 1) -> tuple[list[float], float]:
    """Take as fast as the pacer allows; returns the times of the recipients."""
    end, sent = now + seconds, []
    while now < end:
        wait = pacer.take(size, now)
        if wait == 0.0:
            sent += [now] * size
        else:
            now += wait
    return sent, now


def find_largest_second(sent: list[float]) -> int:
    window: deque[float] = deque()
    largest = 0
    for at in sent:
        window.append(at)
        while window[0] <= at - 1.0:
            window.popleft()
        largest = max(largest, len(window))
    return largest


@given(rate=st.floats(0.5, 2_000), pauses=st.lists(st.floats(0, 100), max_size=3))
def test_sliding_second_is_bounded_after_stops(rate: float, pauses: list[float]):
    pacer, now, sent = Pacer(rate, 0.0), 0.0, []
    for pause in [*pauses, 0.0]:  # the process is stopped and continued
        more, now = send_for(pacer, now + pause, 1.5)
        sent += more
    assert find_largest_second(sent) <= rate * (1.0 + BURST_SECONDS) + 1.0 + 1e-6


def test_a_process_stopped_for_a_minute_wakes_without_a_burst():
    pacer = Pacer(100.0, 0.0)
    _, now = send_for(pacer, 0.0, 5.0)
    sent, _ = send_for(pacer, now + 60.0, 1.0)
    assert len(sent) <= 100 * 1.1 + 2


@given(rate=RATES)
def test_the_whole_rate_is_used(rate: float):
    seconds = max(3.0, 200 / rate)
    sent, now = send_for(Pacer(rate, 0.0), 0.0, min(seconds, 4_000 / rate + 3))
    assert len(sent) >= 0.985 * rate * now - 1


@given(rate=st.floats(10, 1_000), size=st.integers(2, 50))
def test_large_call_leaves_a_debt_that_later_takes_wait_for(rate: float, size: int):
    sent, now = send_for(Pacer(rate, 0.0), 0.0, 10.0 + 2 * size / rate, size)
    assert len(sent) <= rate * now + 1 + rate * BURST_SECONDS + size
    assert len(sent) >= 0.9 * rate * now - 2 * size


@given(rate=RATES, throttles=st.lists(st.floats(0, 30), max_size=30), jitter=st.floats(0, 1))
def test_limit_stays_between_floor_and_ceiling(rate: float, throttles: list[float], jitter: float):
    pacer, now = Pacer(rate, 0.0, jitter), 0.0
    for gap in throttles:
        now += gap
        pacer.throttle(now)
        assert FLOOR * rate * 0.999 <= pacer.limit <= rate


@given(times=st.lists(st.floats(-1e6, 1e6), max_size=50))
def test_a_clock_that_runs_backwards_gives_no_tokens(times: list[float]):
    pacer = Pacer(10.0, 0.0)
    latest, taken = 0.0, 0
    for now in times:
        taken += pacer.take(1, now) == 0.0
        latest = max(latest, now)
    assert taken <= 2.0 + 10.0 * latest + len(times) * 1e-6


def test_a_throttle_lowers_the_limit_at_once_and_its_echoes_do_not():
    pacer = Pacer(100.0, 0.0)
    pacer.throttle(1.0)
    assert pacer.limit == pytest.approx(85.0)
    for echo in (1.1, 1.5, 1.9):
        pacer.throttle(echo)
    assert pacer.limit > 84.9
    pacer.throttle(2.1)
    assert pacer.limit < 80


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_after_a_storm_it_is_back_at_95_percent_within_15_seconds(jitter: float):
    pacer, now = Pacer(1_000.0, 0.0, jitter), 0.0
    for _ in range(120):  # two minutes of throttles
        now += 1.0
        pacer.throttle(now)
    assert pacer.limit == pytest.approx(50.0)
    pacer.take(1, now + 15.0)
    assert pacer.limit >= 950.0


class Account:
    """SES's side: a token bucket with one second of burst."""

    def __init__(self, rate: float) -> None:
        self.rate, self.tokens, self.at, self.accepted, self.throttled = rate, rate, 0.0, 0, 0

    def take(self, now: float) -> bool:
        self.tokens = min(self.rate, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens <= 0:
            self.throttled += 1
            return False
        self.tokens -= 1
        self.accepted += 1
        return True


def simulate(account: Account, pacers: list[Pacer], *, begin: float, seconds: float) -> None:
    """Let workers send as fast as their pacers allow; replies arrive 50 ms after the call."""
    latency = 0.05
    events: list[tuple[float, int, str, int]] = [(begin, i, "send", i) for i in range(len(pacers))]
    heapq.heapify(events)
    serial = len(pacers)
    while events and events[0][0] < begin + seconds:
        now, _, kind, i = heapq.heappop(events)
        serial += 1
        if kind == "throttle":
            pacers[i].throttle(now)
            continue
        wait = pacers[i].take(1, now)
        if wait == 0.0 and not account.take(now):
            heapq.heappush(events, (now + latency, serial, "throttle", i))
        heapq.heappush(events, (now + wait, -serial, "send", i))


def test_halved_limit_is_found_and_90_percent_of_it_used():
    account, pacer = Account(100.0), Pacer(200.0, 0.0)
    simulate(account, [pacer], begin=0.0, seconds=20.0)
    accepted, throttled = account.accepted, account.throttled
    simulate(account, [pacer], begin=20.0, seconds=120.0)
    assert account.accepted - accepted >= 0.9 * 100 * 120
    assert account.throttled - throttled <= 0.03 * 100 * 120


def test_two_workers_share_a_lower_limit_and_do_not_probe_together():
    account, pacers = Account(100.0), [Pacer(100.0, 0.0, 0.0), Pacer(100.0, 0.0, 1.0)]
    simulate(account, pacers, begin=0.0, seconds=60.0)
    accepted = account.accepted
    last: list[list[float]] = [[], []]
    for second in range(60, 180):
        simulate(account, pacers, begin=float(second), seconds=1.0)
        for pacer, seen in zip(pacers, last, strict=True):
            if not seen or seen[-1] != pacer._throttled_at:
                seen.append(pacer._throttled_at)
    assert account.accepted - accepted >= 0.9 * 100 * 120
    together = sum(any(abs(one - other) < 0.02 for other in last[1]) for one in last[0])
    assert together < len(last[0])


def test_what_was_learned_is_kept_as_a_share_when_the_ceiling_changes():
    pacer = Pacer(100.0, 0.0)
    pacer.throttle(1.0)
    pacer.set_ceiling(50.0, 1.0)
    assert pacer.limit == pytest.approx(42.5)
    pacer.set_ceiling(100.0, 1.0)
    assert pacer.limit == pytest.approx(85.0)
