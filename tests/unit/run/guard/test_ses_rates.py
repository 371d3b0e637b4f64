"""The guard's decision about the account's rates as SES computes them."""

from typing import Any

import pytest

from engine.account.reputation.limits import RateKind
from engine.campaign.spec_sections import GuardSpec
from engine.ledger.decisions import find_acknowledged
from engine.run.guard.judge import GuardLevel
from engine.run.guard.ses_rates import find_limits, judge_ses_rates

LIMITS = find_limits(GuardSpec())
BOUNCE, COMPLAINT = RateKind.BOUNCE, RateKind.COMPLAINT


def levels(rates: dict[RateKind, float], acknowledged: dict[str, float] | None = None) -> list[tuple[str, str]]:
    found = judge_ses_rates(rates, LIMITS, acknowledged or {})
    return [(str(one.kind), str(one.level)) for one in found]


def test_default_limits_are_the_levels_at_which_ses_reviews_an_account() -> None:
    assert LIMITS == {BOUNCE: 0.05, COMPLAINT: 0.001}


@pytest.mark.parametrize(
    ("rates", "found"),
    [
        ({}, []),
        ({BOUNCE: 0.0249, COMPLAINT: 0.00049}, []),
        ({BOUNCE: 0.025}, [("bounce", "warning")]),
        ({BOUNCE: 0.05}, [("bounce", "pause")]),
        ({COMPLAINT: 0.0009}, [("complaint", "warning")]),
        ({BOUNCE: 0.03, COMPLAINT: 0.001}, [("complaint", "pause"), ("bounce", "warning")]),
    ],
)
def test_a_rate_warns_from_half_its_limit_and_pauses_at_it(
    rates: dict[RateKind, float], found: list[tuple[str, str]]
) -> None:
    assert levels(rates) == found


@pytest.mark.parametrize(("rate", "level"), [(0.06, "warning"), (0.0659, "warning"), (0.0661, "pause")])
def test_a_rate_that_a_person_acknowledged_pauses_again_once_it_rises(rate: float, level: str) -> None:
    assert levels({BOUNCE: rate}, {"bounce": 0.06}) == [("bounce", level)]


def test_an_acknowledged_rate_says_nothing_about_the_other() -> None:
    assert levels({COMPLAINT: 0.002}, {"bounce": 0.06}) == [("complaint", "pause")]


def test_a_rate_is_acknowledged_for_its_region_alone() -> None:
    acknowledged = {"bounce": 0.06, "eu-west-1 bounce": 0.06}
    found = {region: judge_ses_rates({BOUNCE: 0.06}, LIMITS, acknowledged, region)[0] for region in ("", "eu-west-1")}
    assert [one.level for one in found.values()] == [GuardLevel.WARNING, GuardLevel.WARNING]
    (other,) = judge_ses_rates({BOUNCE: 0.06}, LIMITS, acknowledged, "eu-central-1")
    assert other.level is GuardLevel.PAUSE
    assert other.describe().startswith("eu-central-1: the account's bounce rate")


def test_a_limit_of_one_switches_a_rate_off() -> None:
    spec = GuardSpec(max_ses_bounce_rate=1.0, max_ses_complaint_rate=1.0)
    assert find_limits(spec) == {}
    assert judge_ses_rates({BOUNCE: 1.0}, find_limits(spec), {}) == []


def pause(run: str, **rates: float) -> tuple[str, str, dict[str, Any]]:
    return run, "pause", {"ses_rates": rates}


@pytest.mark.parametrize(
    ("decisions", "found"),
    [
        ([pause("a/1", bounce=0.06)], {}),  # nobody has resumed it
        ([pause("a/1", bounce=0.06), ("a/1", "resume", {})], {"bounce": 0.06}),
        ([pause("a/1", bounce=0.06), ("a/1", "approve", {})], {"bounce": 0.06}),
        ([pause("a/1", bounce=0.06), ("b/1", "resume", {})], {}),
        ([("a/1", "resume", {}), pause("a/1", bounce=0.06)], {}),
        ([pause("a/1", x=0.06), pause("a/1", y=0.07), ("a/1", "resume", {})], {"x": 0.06, "y": 0.07}),  # two regions
        ([pause("a/1", bounce=0.06), ("a/1", "pause", {"reason": "by hand"}), ("a/1", "resume", {})], {"bounce": 0.06}),
        (
            [pause("a/1", bounce=0.09), ("a/1", "resume", {}), pause("b/1", bounce=0.06), ("b/1", "resume", {})],
            {"bounce": 0.09},
        ),
    ],
)
def test_rates_are_acknowledged_by_a_resume_of_the_run_that_they_paused(
    decisions: list[tuple[str, str, dict[str, Any]]], found: dict[str, float]
) -> None:
    assert find_acknowledged(decisions) == found


def test_a_finding_names_rate_limit_and_setting() -> None:
    (found,) = judge_ses_rates({COMPLAINT: 0.0012}, LIMITS, {})
    assert found.level is GuardLevel.PAUSE
    assert "0.12%" in found.describe()
    assert "[guard] max_ses_complaint_rate is 0.10%" in found.describe()
