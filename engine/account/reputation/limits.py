"""Limits of bounce and complaint rates, and where a rate stands.

Sources: AWS, "Amazon SES sending review process FAQs" (5 % and 10 % bounces, 0.1 % and 0.5 % complaints); Google,
"Email sender guidelines" (spam rate below 0.1 %, never 0.3 % or higher).
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct

NEAR = 0.5  # of the lower limit


class RateKind(StrEnum):
    """The rates that SES computes."""

    BOUNCE = "bounce"
    COMPLAINT = "complaint"


class RateMark(StrEnum):
    """Where a rate stands: below half of the lower limit, below it, or at or above it."""

    OK = "ok"
    NEAR = "near"
    OVER = "over"


class RateLimit(Struct, frozen=True):
    """Two limits of one rate, each 0 to 1.

    Attributes:
        whose: SES or Gmail.
        lower: at and above it, SES reviews the account; Gmail delivers worse.
        upper: at and above it, SES may pause sending; Gmail gives no mitigation.
    """

    whose: str
    lower: float
    upper: float


class RateStanding(Struct, frozen=True):
    """How a rate compares with a limit.

    Attributes:
        limit: the limit.
        mark: where the rate stands.
        passed: the limit that the rate has reached; None for none.
    """

    limit: RateLimit
    mark: RateMark
    passed: float | None


SES_LIMITS: Mapping[RateKind, RateLimit] = MappingProxyType(
    {RateKind.BOUNCE: RateLimit("SES", 0.05, 0.10), RateKind.COMPLAINT: RateLimit("SES", 0.001, 0.005)}
)
GMAIL_LIMIT = RateLimit("Gmail", 0.001, 0.003)  # of complaints


def compare_rate(rate: float, limit: RateLimit) -> RateStanding:
    """Compare a rate with a limit.

    >>> compare_rate(0.06, SES_LIMITS[RateKind.BOUNCE]).mark.value
    'over'
    """
    passed = limit.upper if rate >= limit.upper else limit.lower if rate >= limit.lower else None
    if passed is not None:
        return RateStanding(limit, RateMark.OVER, passed)
    return RateStanding(limit, RateMark.NEAR if rate >= limit.lower * NEAR else RateMark.OK, None)


def list_limits(kind: RateKind) -> tuple[RateLimit, ...]:
    """Return the limits that concern a rate."""
    return (SES_LIMITS[kind],) if kind is RateKind.BOUNCE else (SES_LIMITS[kind], GMAIL_LIMIT)
