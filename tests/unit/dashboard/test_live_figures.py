"""The figures of a live page: workers together, and the rate that is measured."""

from hypothesis import given
from hypothesis import strategies as st

from engine.dashboard.live_figures import RATE_SECONDS, RateMeter, add_vitals

VITALS = {"rate_limit": 10.0, "in_flight": 1, "concurrency": 4, "latency_ms": 100.0, "throttles": 1}


def test_rate_meter_has_no_rate_of_one_count() -> None:
    assert RateMeter().measure(0.0, 100) is None


def test_rate_meter_measures_the_last_seconds() -> None:
    """A run that went fast and then stands still has the rate 0 after RATE_SECONDS."""
    meter = RateMeter()
    meter.measure(0.0, 0)
    assert meter.measure(1.0, 50) == 50
    assert [meter.measure(1.0 + second, 50) for second in range(1, 7)][-1] == 0


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=60))
def test_rate_meter_never_exceeds_what_was_done(steps: list[int]) -> None:
    meter, done = RateMeter(), 0
    for second, step in enumerate(steps):
        done += step
        rate = meter.measure(float(second), done)
        assert rate is None or 0 <= rate <= max(steps)
    assert len(meter.counts) <= RATE_SECONDS + 2


def test_rate_meter_is_never_negative_when_a_count_falls() -> None:
    meter = RateMeter()
    meter.measure(0.0, 100)
    assert meter.measure(1.0, 90) == 0


def test_workers_are_added_up_and_latency_is_weighted() -> None:
    second = VITALS | {"in_flight": 3, "latency_ms": 20.0, "rate_limit": 4.5}
    found = add_vitals([VITALS, second])
    assert (found.limit, found.calls, found.concurrency, found.throttles) == (14.5, 4, 8, 2)
    assert found.latency_ms == 40.0


def test_no_workers_have_no_limit_and_no_latency() -> None:
    found = add_vitals([])
    assert (found.limit, found.latency_ms, found.calls) == (None, None, 0)
