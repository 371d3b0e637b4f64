"""The pacer: tokens, debt, and a limit that adapts."""

import pytest

from engine.delivery.pacing.pacer import DECREASE, FLOOR, Pacer


def drain(pacer: Pacer, now: float) -> int:
    """Take single tokens until the pacer returns a wait; returns how many there were."""
    taken = 0
    while pacer.take(1, now) == 0.0:
        taken += 1
    return taken


def test_the_first_call_never_waits_even_at_the_lowest_rate():
    assert Pacer(0.01, 0.0).take(1, 0.0) == 0.0


def test_waiter_gets_a_token_after_the_time_that_was_returned():
    pacer = Pacer(100.0, 0.0)
    drain(pacer, 0.0)
    seconds = pacer.take(1, 0.0)
    assert 0 < seconds <= 0.01
    assert pacer.take(1, seconds * 0.9) > 0.0
    assert pacer.take(1, seconds + 1e-9) == 0.0


def test_refused_take_costs_no_tokens():
    pacer = Pacer(10.0, 0.0)
    drain(pacer, 0.0)
    assert len({pacer.take(1, 0.0) for _ in range(100)}) == 1


def test_long_rest_saves_a_tenth_of_a_second_and_one_token():
    pacer = Pacer(100.0, 0.0)
    drain(pacer, 0.0)
    assert drain(pacer, 3600.0) == 11


def test_a_large_call_leaves_a_debt_that_later_calls_wait_for():
    pacer = Pacer(10.0, 0.0)
    assert pacer.take(50, 0.0) == 0.0
    assert pacer.take(1, 0.0) == pytest.approx((50 - 2 + 1) / 10.0)
    assert pacer.take(1, 4.89) > 0.0
    assert pacer.take(1, 4.91) == 0.0


def test_a_clock_that_goes_back_gives_no_tokens():
    pacer = Pacer(10.0, 100.0)
    drain(pacer, 100.0)
    assert pacer.take(1, 50.0) > 0.0


def test_a_throttle_lowers_the_limit_at_once_and_takes_the_tokens():
    pacer = Pacer(100.0, 0.0)
    pacer.throttle(0.0)
    assert pacer.limit == pytest.approx(100.0 * DECREASE)
    assert pacer.take(1, 0.0) > 0.0


def test_a_throttle_without_end_never_ends_the_probing():
    pacer = Pacer(100.0, 0.0)
    for second in range(100):
        pacer.throttle(float(second))
    assert 100.0 * FLOOR <= pacer.limit < 20.0


def test_the_limit_grows_back_to_the_ceiling_and_not_beyond():
    pacer = Pacer(100.0, 0.0)
    pacer.throttle(0.0)
    pacer.take(1, 3.0)
    assert 100.0 * DECREASE < pacer.limit < 100.0
    pacer.take(1, 1000.0)
    assert pacer.limit == 100.0


def test_a_new_ceiling_keeps_what_was_learnt_in_proportion():
    pacer = Pacer(100.0, 0.0)
    pacer.throttle(0.0)
    pacer.set_ceiling(50.0, 0.0)
    assert pacer.limit == pytest.approx(42.5)
    pacer.set_ceiling(200.0, 0.0)
    assert pacer.limit == pytest.approx(170.0)


def test_lower_ceiling_cuts_tokens_above_its_burst():
    pacer = Pacer(1000.0, 0.0)
    pacer.set_ceiling(10.0, 0.0)
    assert drain(pacer, 0.0) == 2
