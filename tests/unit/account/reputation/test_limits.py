"""Where a rate stands against the limits of SES and Gmail."""

import pytest

from engine.account.reputation.limits import GMAIL_LIMIT, SES_LIMITS, RateKind, RateMark, compare_rate, list_limits


@pytest.mark.parametrize(
    ("rate", "mark", "passed"),
    [
        (0.0, RateMark.OK, None),
        (0.0249, RateMark.OK, None),
        (0.025, RateMark.NEAR, None),
        (0.0499, RateMark.NEAR, None),
        (0.05, RateMark.OVER, 0.05),
        (0.0999, RateMark.OVER, 0.05),
        (0.1, RateMark.OVER, 0.1),
        (1.0, RateMark.OVER, 0.1),
    ],
)
def test_compare_rate_marks_near_and_over(rate: float, mark: RateMark, passed: float | None) -> None:
    standing = compare_rate(rate, SES_LIMITS[RateKind.BOUNCE])
    assert (standing.mark, standing.passed) == (mark, passed)


def test_complaints_are_compared_with_gmails_limit_too() -> None:
    assert list_limits(RateKind.COMPLAINT) == (SES_LIMITS[RateKind.COMPLAINT], GMAIL_LIMIT)
    passed = [compare_rate(0.004, limit).passed for limit in list_limits(RateKind.COMPLAINT)]
    assert passed == [0.001, 0.003]  # SES may pause from 0.5 %, Gmail's upper limit is 0.3 %
