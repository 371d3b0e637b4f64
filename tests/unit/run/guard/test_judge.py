"""The guard: what pauses a run, what is warned of, what is not evidence, and how often it is wrong."""

import random
from typing import Any

import pytest

from engine.report.binomial import find_tail, is_above
from engine.run.guard.judge import (
    ACCOUNT_BOUNCE_RATE,
    CONFIDENCE,
    FEWEST,
    FEWEST_LOSSES,
    THE_ACCOUNT,
    EventTotals,
    FailureGuard,
    GuardLevel,
    GuardRate,
    judge,
    measure_events,
    measure_run,
)

LIMITS: dict[str, Any] = {"bounce_limit": 0.05, "complaint_limit": 0.001}


def count(guard: FailureGuard, *, sent: int = 0, lost: int = 0, refused: int = 0) -> bool:
    guard.count_sent(sent)
    for _ in range(lost):
        guard.count_lost("no answer")
    for _ in range(refused):
        guard.count_lost("refused", is_refused=True)
    return guard.tripped


def find_level(heard: EventTotals, *, told: bool = True, scope: str = "the run") -> GuardLevel | None:
    found = judge(measure_events(heard, **LIMITS, are_deliveries_reported=told, scope=scope))
    return found[0].level if found else None


# -- what could not be sent --------------------------------------------------------------------------------------------


def test_few_losses_are_not_evidence():
    assert not count(FailureGuard(0.0), lost=FEWEST_LOSSES - 1)
    assert count(FailureGuard(0.0), lost=FEWEST_LOSSES)


def test_losses_are_permitted_up_to_proof_of_more_than_the_share():
    guard = FailureGuard(0.02)
    assert not count(guard, sent=980, lost=21)
    assert count(guard, lost=20)


def test_failure_guard_of_100_percent_never_trips():
    assert not count(FailureGuard(1.0), lost=1000)


def test_refusals_have_a_limit_of_their_own_where_one_is_set():
    assert not count(FailureGuard(1.0), sent=100, refused=50)
    guard = FailureGuard(1.0, 0.01)
    assert not count(guard, sent=100, lost=50)
    assert count(guard, refused=20)
    assert "[guard] max_refusal_rate is 1.0%" in guard.describe()


def test_guard_describes_its_counts_and_limit():
    guard = FailureGuard(0.02)
    count(guard, sent=30, lost=10)
    told = guard.describe()
    assert told.startswith("10 of 40 messages were refused, failed or left in doubt: 25.0%, certainly more than 8.")
    assert "max_failure_rate is 2.0%" in told
    assert told.endswith("most often: no answer")


def test_a_warning_comes_before_the_pause():
    guard = FailureGuard(0.02)
    assert not count(guard, sent=1000, lost=30)
    assert guard.finding is not None
    assert guard.finding.level is GuardLevel.WARNING


# -- events ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delivered", "bounced", "level"),
    [
        (0, 9, None),  # too few for anything
        (0, 10, GuardLevel.PAUSE),
        (980, 20, None),
        (955, 45, GuardLevel.WARNING),  # 4.5 % where 5 % pauses
        (940, 60, GuardLevel.WARNING),  # 6.0 %, and that may be chance
        (920, 80, GuardLevel.PAUSE),
        (95_000, 5_300, GuardLevel.PAUSE),
    ],
)
def test_bounces_warn_and_pause(delivered: int, bounced: int, level: GuardLevel | None):
    assert find_level(EventTotals(proven=delivered + bounced, delivered=delivered, bounced=bounced)) is level


@pytest.mark.parametrize(
    ("complained", "level"), [(4, None), (5, None), (12, GuardLevel.WARNING), (30, GuardLevel.PAUSE)]
)  # of 5,000, where 0.1 % pauses
def test_complaints_are_compared_with_deliveries(complained: int, level: GuardLevel | None):
    assert find_level(EventTotals(proven=5000, delivered=5000, complained=complained)) is level


def test_late_events_do_not_dilute_the_rate():
    heard = EventTotals(proven=600, delivered=300, bounced=100, sent=1_000_000)
    assert heard.count_for_bounces(are_deliveries_reported=True) == 400


def test_bounces_before_their_deliveries_are_not_a_rate_of_100_percent():
    heard = EventTotals(proven=1000, bounced=20, sent=1000)  # 2 %, and no delivery has been reported yet
    assert heard.count_for_bounces(are_deliveries_reported=True) == 500
    assert find_level(heard) is None


def test_bounces_are_compared_with_all_sent_without_delivery_events():
    heard = EventTotals(proven=20, bounced=20, sent=1000)
    assert find_level(heard, told=False) is None
    assert find_level(EventTotals(proven=200, bounced=200, sent=1000), told=False) is GuardLevel.PAUSE


def test_receiver_may_have_twice_the_rate_and_the_account_its_own_limit():
    bad = EventTotals(proven=1000, delivered=920, bounced=80)
    assert find_level(bad, scope="big.example") is GuardLevel.WARNING
    assert find_level(EventTotals(proven=1000, delivered=800, bounced=200), scope="big.example") is GuardLevel.PAUSE
    (finding,) = judge(
        measure_events(
            bad, bounce_limit=ACCOUNT_BOUNCE_RATE, complaint_limit=1.0, are_deliveries_reported=True, scope=THE_ACCOUNT
        )
    )
    assert finding.level is GuardLevel.PAUSE
    assert finding.describe().startswith("80 of 1,000 messages (the account) bounced: 8.0%, certainly more than 5.")


def test_events_that_a_person_has_seen_are_not_judged_again():
    seen = EventTotals(proven=1000, delivered=700, bounced=300)
    now = EventTotals(proven=3000, delivered=2690, bounced=310)
    assert find_level(now) is GuardLevel.PAUSE
    assert find_level(now.without(seen)) is None


# -- how often it is wrong ---------------------------------------------------------------------------------------------

RATES = [(GuardRate.BOUNCE, 0.05), (GuardRate.COMPLAINT, 0.001), (GuardRate.FAILURE, 0.02)]
FALSE_ALARMS = 2e-4


def find_most_judged(bad: int, limit: float) -> int:
    """The largest number among which so many bad ones pause."""
    low, high = bad, int(bad / limit) + 1
    while low < high - 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_above(bad, middle, limit=limit, confidence=CONFIDENCE) else (low, middle)
    return low


@pytest.mark.parametrize(("rate", "limit"), RATES)
def test_run_at_half_the_limit_is_paused_in_less_than_1_of_5000(rate: GuardRate, limit: float):
    # A pause at the k-th bad one needs k of them among the first n(k): the sum of these probabilities bounds them all.
    total, bad, chance = 0.0, FEWEST[rate], 1.0
    while chance > 1e-15:
        chance = find_tail(bad, find_most_judged(bad, limit), limit / 2)
        total, bad = total + chance, bad + 1
    assert total < FALSE_ALARMS


@pytest.mark.parametrize(("rate", "limit"), RATES)
def test_simulated_runs_at_half_the_limit_are_never_paused(rate: GuardRate, limit: float):
    dice = random.Random(7)
    for _ in range(100 if rate is GuardRate.COMPLAINT else 4):
        judged = bad = 0
        while judged < 1_000_000:
            judged += int(dice.expovariate(1.0) / (limit / 2)) + 1  # to the next bad one
            bad += 1
            found = judge([measure_run(rate, bad, judged, limit)]) if bad % 50 == 0 or bad < 500 else []
            assert not found or found[0].level is GuardLevel.WARNING
