"""Proposes daily caps for a campaign whose dedicated IP addresses are still warming up. Pure.

SES warms up an address over 45 days, by time and not by volume, until it may send up to 50,000 messages a day
(https://docs.aws.amazon.com/ses/latest/dg/dedicated-ip-warming.html). SES does not publish how much an address may send
on each of these days: the proposal assumes the same growth every day, from FIRST_DAY messages.
"""

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct

from engine.account.pools.addresses import DedicatedAddress

DAYS = 45
FULL = 50_000  # messages a day of a warmed-up address
FIRST_DAY = 200  # messages of an address on its first day
_DIGITS = 2  # that are not zero, in a cap
_PER_LINE = 10


class WarmupProposal(Struct, frozen=True):
    """Daily caps for `[warmup]`.

    Attributes:
        caps: recipients a day, from today on.
        assumptions: what they were computed from, a sentence each.
    """

    caps: tuple[int, ...]
    assumptions: tuple[str, ...]

    def to_toml(self) -> list[str]:
        """Write the section, ready to be pasted into campaign.toml."""
        lines = [self.caps[start : start + _PER_LINE] for start in range(0, len(self.caps), _PER_LINE)]
        return ["[warmup]", "caps = [", *(f"  {', '.join(map(str, line))}," for line in lines), "]"]


def propose_warmup(addresses: Sequence[DedicatedAddress]) -> WarmupProposal | None:
    """Propose caps for mail that is spread over addresses.

    Args:
        addresses: of the pool that the campaign sends from.

    Returns:
        The caps until the last address is warmed up; None where no address is warming up.
    """
    warming = [one for one in addresses if one.is_warming]
    if not warming:
        return None
    begun = [find_day(one.percentage) for one in warming]
    ready = len(addresses) - len(warming)
    left = DAYS - min(begun) + 1
    caps = [_round_down(ready * FULL + sum(find_daily_limit(day + passed) for day in begun)) for passed in range(left)]
    return WarmupProposal(tuple(caps), tuple(_list_assumptions(warming, ready)))


def find_day(percentage: int) -> int:
    """Return the day of the warm-up, from 1 to 45, of an address that is so far warmed up.

    >>> [find_day(p) for p in (0, 40, 99)]
    [1, 19, 45]
    """
    return min(DAYS, math.floor(percentage / 100 * DAYS) + 1)


def find_daily_limit(day: int) -> float:
    """Return how many messages an address may send on a day of its warm-up; all of it after the last day.

    >>> [round(find_daily_limit(day)) for day in (1, 45, 60)]
    [200, 50000, 50000]
    """
    growth = (FULL / FIRST_DAY) ** (1 / (DAYS - 1))
    return float(round(FIRST_DAY * growth ** (min(day, DAYS) - 1), 6))


def _list_assumptions(warming: Sequence[DedicatedAddress], ready: int) -> Iterator[str]:
    shown = ", ".join(f"{one.address} at {one.percentage} %" for one in warming)
    yield f"warming up: {shown}; warmed up: {ready}"
    yield f"SES warms an address up over {DAYS} days, to {FULL:,} messages a day"
    yield f"an address sends {FIRST_DAY} messages on its first day, and the same factor more on each day after it"
    yield "day 1 is today, mail is spread evenly over the addresses, and no other campaign sends from them"


def _round_down(number: float) -> int:
    """Keep the first two digits.

    >>> _round_down(1287.3)
    1200
    """
    power = 10 ** max(0, math.floor(math.log10(number)) + 1 - _DIGITS)
    return int(number // power * power)
