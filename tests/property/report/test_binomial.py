"""The binomial bounds against sums of exact fractions."""

from fractions import Fraction
from math import comb

from hypothesis import given
from hypothesis import strategies as st

from engine.report.binomial import find_lower_bound, find_tail, is_above

COUNTS = st.integers(1, 120).flatmap(lambda judged: st.tuples(st.integers(0, judged), st.just(judged)))
RATES = st.floats(0.0001, 0.9999)


def find_exact_tail(bad: int, judged: int, rate: float) -> float:
    p = Fraction(rate)
    return float(sum(comb(judged, k) * p**k * (1 - p) ** (judged - k) for k in range(bad, judged + 1)))


@given(COUNTS, RATES)
def test_the_tail_is_the_exact_sum(counts: tuple[int, int], rate: float):
    exact = find_exact_tail(*counts, rate)
    assert abs(find_tail(*counts, rate) - exact) <= 1e-9 * exact + 1e-13


@given(COUNTS, st.sampled_from([0.9, 0.99, 0.999]))
def test_at_the_lower_bound_the_counts_have_the_probability_that_is_left(counts: tuple[int, int], confidence: float):
    bound = find_lower_bound(*counts, confidence)
    assert 0.0 <= bound <= counts[0] / counts[1]
    if counts[0]:
        assert abs(find_exact_tail(*counts, bound) - (1 - confidence)) < 1e-6


@given(COUNTS, RATES, st.sampled_from([0.9, 0.99, 0.999]))
def test_a_rate_is_above_a_limit_just_where_its_lower_bound_is(
    counts: tuple[int, int], limit: float, confidence: float
):
    bound = find_lower_bound(*counts, confidence)
    if abs(bound - limit) > 1e-9:
        assert is_above(*counts, limit=limit, confidence=confidence) == (bound > limit)


@given(COUNTS, RATES)
def test_one_more_bad_event_never_lowers_a_rate(counts: tuple[int, int], rate: float):
    bad, judged = counts
    assert find_tail(bad, judged, rate) <= find_tail(max(0, bad - 1), judged, rate) + 1e-12
    assert find_lower_bound(bad, judged + 1, 0.999) <= find_lower_bound(bad + 1, judged + 1, 0.999) + 1e-12
