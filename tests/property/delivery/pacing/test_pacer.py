"""Laws of the pacer under any clock: never above the rate, and nearly all of it used."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from support.clock import VirtualClock

from engine.delivery.pacing.pacer import BURST_SECONDS, LastSecond, Pacer
from engine.sandbox.ses.limits import RateBucket

RATES = st.floats(0.2, 2_000.0)
LATE = st.lists(st.floats(0.0, 0.02), min_size=1, max_size=20)  # how late a sleeper wakes, in seconds
TINY = 1e-9


def grants(
    pacer: Pacer, *, until: float, late: list[float], calls: int = 1, stops: tuple[float, ...] = ()
) -> Iterator[float]:
    """Take as a dispatcher does: sleep as long as the pacer returns, and wake late; yield when tokens were granted."""
    now, step, ahead = pacer.now, 0, sorted(stops)
    while now < until:
        seconds = pacer.take(calls, now)
        if seconds == 0.0:
            yield now
            continue
        now += seconds + late[step % len(late)] + TINY
        step += 1
        if ahead and now >= ahead[0]:
            now += 60.0  # the process was stopped for a minute
            ahead.pop(0)


def most_in_a_second(times: list[float]) -> int:
    most, first = 0, 0
    for last, now in enumerate(times):
        while times[first] <= now - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


@given(rate=RATES, late=LATE, stops=st.lists(st.floats(0.0, 5.0), max_size=3))
def test_sliding_second_is_bounded_under_any_clock(rate: float, late: list[float], stops: list[float]) -> None:
    times = list(
        grants(Pacer(rate, 1000.0), until=1000.0 + 5 + 60 * len(stops), late=late, stops=tuple(1000 + s for s in stops))
    )
    assert most_in_a_second(times) <= (1 + BURST_SECONDS) * rate + 1 + TINY


@given(rate=RATES, late=LATE)
def test_nearly_all_of_the_rate_is_used_however_late_sleepers_wake(rate: float, late: list[float]) -> None:
    seconds = max(5.0, 300.0 / rate)
    begin = 10.0  # what the bucket held at first is used up by then
    times = [at for at in grants(Pacer(rate, 0.0), until=begin + seconds, late=late) if at >= begin]
    assert len(times) >= 0.985 * rate * seconds


@given(rate=st.floats(5.0, 60.0), allowed=st.floats(0.3, 0.95), late=LATE)
def test_lower_limit_is_nearly_used_for_a_throttle_every_few_seconds(
    rate: float, allowed: float, late: list[float]
) -> None:
    clock, pacer = VirtualClock(), Pacer(rate, 1000.0)
    account = RateBucket(rate * allowed, clock)
    accepted, throttled = 0, 0
    for now in grants(pacer, until=1120.0, late=late):
        clock.seconds = now
        if account.has_tokens():
            account.take(1)
            accepted += now >= 1060.0
        else:
            pacer.throttle(now)
            throttled += now >= 1060.0
    assert accepted >= 0.9 * rate * allowed * 60 - 1
    assert throttled <= 60 / 2


@given(rate=st.floats(1.0, 500.0), calls=st.integers(1, 50), late=LATE)
def test_large_calls_keep_the_rate_over_time(rate: float, calls: int, late: list[float]) -> None:
    seconds = 400 * calls / rate
    granted = calls * len(list(grants(Pacer(rate, 0.0), until=seconds, late=late, calls=calls)))
    assert granted <= rate * seconds + 1 + BURST_SECONDS * rate + calls


@given(
    rate=RATES,
    events=st.lists(
        st.tuples(st.floats(0.0, 3.0), st.sampled_from(["throttle", "take", "set_ceiling"]), st.floats(0.1, 2_000.0))
    ),
)
def test_limit_stays_between_floor_and_ceiling_under_any_history(
    rate: float, events: list[tuple[float, str, float]]
) -> None:
    pacer, now = Pacer(rate, 0.0), 0.0
    for seconds, what, ceiling in events:
        now += seconds
        if what == "throttle":
            pacer.throttle(now)
        elif what == "set_ceiling":
            pacer.set_ceiling(ceiling, now)
        else:
            pacer.take(1, now)
        assert pacer.ceiling * 0.05 * (1 - TINY) <= pacer.limit <= pacer.ceiling


@given(
    rate=RATES,
    gaps=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=30),
    calls=st.lists(st.integers(1, 50), min_size=1, max_size=200),
)
def test_the_last_second_holds_whatever_was_gathered_before(rate: float, gaps: list[float], calls: list[int]) -> None:
    """Calls arrive in groups, as after a slow disk or a pause; none is larger than the rate allows at once."""
    second, now, passed = LastSecond(), 1000.0, list[float]()
    most = (1 + BURST_SECONDS) * rate + 1
    for step, size in enumerate(calls):
        now += gaps[step % len(gaps)] if step % 7 == 0 else 0.0
        recipients = min(size, max(1, int(most)))
        while wait := second.take(recipients, rate=rate, now=now):
            assert wait <= 1.0 + TINY + 1e-6
            now += wait
        passed += [now] * recipients
    assert most_in_a_second(passed) <= most + TINY
