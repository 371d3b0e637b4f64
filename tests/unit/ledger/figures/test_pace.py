"""The time line of a run, from the samples of its workers."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clock import START

from engine.ledger.figures.pace import MOST_SAMPLES, SAMPLES_EACH, STEP_SECONDS, PaceSample, add_up, choose_step


def make_sample(worker: str = "a", *, at: float = 60.0, seconds: float = 60.0, **values: float) -> PaceSample:
    """Make a sample whose period ends `at` seconds after START."""
    given = {"handed_over": 600, "throttled": 0, "rate_limit": 10.0, "in_flight": 4, "latency_ms": 20.0, **values}
    return PaceSample(worker=worker, at=START + timedelta(seconds=at), seconds=seconds, **given)  # type: ignore[arg-type]


def test_workers_of_one_minute_add_up():
    step, *rest = add_up([make_sample("a"), make_sample("b", rate_limit=5.0, handed_over=200, latency_ms=60)], most=9)
    assert not rest
    assert (step.begins_at, step.seconds, step.workers) == (START, 60.0, 2)
    assert (step.handed_over, step.rate_limit, step.in_flight) == (800, 15.0, 8)
    assert step.latency_ms == pytest.approx((600 * 20 + 200 * 60) / 800)


def test_sample_across_steps_is_divided_by_time():
    first, second = add_up([make_sample(at=90.0)], most=9)
    assert (first.handed_over, second.handed_over) == (300, 300)
    assert first.rate_limit == second.rate_limit == 10.0


def test_steps_begin_and_end_with_the_samples():
    """A run of 50 s that begins 40 s into a minute has the same rate in both of its steps."""
    first, second = add_up([make_sample(at=90.0, seconds=50.0, handed_over=500)], most=9)
    assert (first.begins_at - START, first.seconds, second.seconds) == (timedelta(seconds=40), 20.0, 30.0)
    assert first.handed_over / first.seconds == pytest.approx(second.handed_over / second.seconds)


def test_pause_lowers_no_rate():
    """A run that pauses for ten minutes sends at its full rate before and after."""
    samples = [
        make_sample(at=15.0, seconds=15.0, handed_over=150),
        make_sample(at=640.0, seconds=20.0, handed_over=200),
    ]
    before, after = add_up(samples, most=99)
    assert (before.handed_over / before.seconds, after.handed_over / after.seconds) == pytest.approx((10.0, 10.0))
    assert after.begins_at - START == timedelta(seconds=620)


def test_step_without_samples_is_missing():
    begins = [step.begins_at - START for step in add_up([make_sample(at=60), make_sample(at=600)], most=99)]
    assert begins == [timedelta(0), timedelta(seconds=540)]


def test_run_without_samples_has_no_time_line():
    assert add_up([], most=9) == []


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(0, 1e6), st.floats(0, 7200), st.integers(0, 10**6)), min_size=1
    ),
    st.integers(2, 50),
)
def test_steps_lose_no_recipient_and_stay_within_the_bound(drawn: list[tuple[str, float, float, int]], most: int):
    samples = [make_sample(w, at=at, seconds=seconds, handed_over=sent) for w, at, seconds, sent in drawn]
    steps = add_up(samples, most=most)
    assert sum(step.handed_over for step in steps) == pytest.approx(sum(sample.handed_over for sample in samples))
    assert len(steps) <= most
    assert [step.begins_at for step in steps] == sorted({step.begins_at for step in steps})


def test_month_of_sixteen_workers_fits_into_the_bound():
    """The more samples a run has, the longer the next ones are."""
    seconds, samples = 0.0, 0
    while seconds < 30 * 86_400 * 16:
        seconds += choose_step(samples)
        samples += 1
    assert choose_step(SAMPLES_EACH - 1) == STEP_SECONDS < choose_step(SAMPLES_EACH)
    assert samples < MOST_SAMPLES
