"""Exact binomial statistics: one-sided bounds of a rate (Clopper and Pearson, 1934), and the difference of two rates.

A guard decides on a handful of events at rates of a thousandth. At such rates, the normal approximation of Wilson's
interval is not conservative; the exact bound is: if it is above a limit, such a count has a probability of at most
1 - confidence where the rate is at the limit, and less where it is below.
"""

from math import exp, lgamma, log, log1p

_NEGLIGIBLE = 1e-17  # a term too small to change the sum
_HALVINGS = 50


def find_tail(bad: int, judged: int, rate: float) -> float:
    """Return the probability of at least `bad` among `judged`, each of them bad with the probability `rate`.

    The sum of the binomial's terms from `bad` upwards; below the mean, one minus the sum of those under it.

    Args:
        bad: 0 to `judged`.
        judged: at least 0.
        rate: 0 to 1.
    """
    if bad <= 0 or rate >= 1.0:
        return 1.0
    if rate <= 0.0:
        return 0.0
    if bad <= judged * rate:
        # P(at least `bad` bad) = 1 - P(more than judged - bad good): as many terms as from the mean upwards.
        return max(0.0, 1.0 - _sum_from(judged - bad + 1, judged, 1.0 - rate))
    return _sum_from(bad, judged, rate)


def _sum_from(first: int, judged: int, rate: float) -> float:
    """Add up the binomial's terms from `first` upwards, where they decrease."""
    if first > judged:
        return 0.0
    choose = lgamma(judged + 1) - lgamma(first + 1) - lgamma(judged - first + 1)
    term = exp(choose + first * log(rate) + (judged - first) * log1p(-rate))
    total, odds = 0.0, rate / (1.0 - rate)
    for count in range(first, judged + 1):
        total += term
        term *= (judged - count) / (count + 1) * odds
        if term <= total * _NEGLIGIBLE:
            break
    return min(1.0, total)


def find_lower_bound(bad: int, judged: int, confidence: float) -> float:
    """Return Clopper and Pearson's lower bound: with this confidence, the true rate is above it.

    Args:
        bad: 0 to `judged`.
        judged: at least 0.
        confidence: such as 0.999.
    """
    if bad <= 0:
        return 0.0
    low, high = 0.0, bad / judged
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if find_tail(bad, judged, middle) <= 1.0 - confidence:
            low = middle
        else:
            high = middle
    return low


def is_above(bad: int, judged: int, *, limit: float, confidence: float) -> bool:
    """Return whether the true rate is above a limit with this confidence: whether the lower bound is."""
    if bad <= judged * limit:
        return False
    return find_tail(bad, judged, limit) < 1.0 - confidence


def find_chance(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Return how likely two rates differ at least so much by chance, two-sided.

    The exact conditional test of two Poisson rates (Przyborowski and Wilenski, 1940): of all cases of both, how likely
    is it that so many, or so few, fall into one of them? For common cases the test is too careful, never too bold; of
    a rate above one half, what is missing is compared, which is rarer.

    Args:
        first: cases and the whole that they are of, which is above 0.
        second: the same, of the other rate.

    >>> round(find_chance((3, 1000), (0, 1000)), 2), find_chance((5, 100), (5, 100))
    (0.25, 1.0)
    """
    (cases, whole), (other_cases, other_whole) = first, second
    if cases + other_cases > (whole + other_whole) / 2:
        cases, other_cases = max(0, whole - cases), max(0, other_whole - other_cases)
    total, share = cases + other_cases, other_whole / (whole + other_whole)
    more, fewer = find_tail(other_cases, total, share), find_tail(cases, total, 1.0 - share)
    return min(1.0, 2 * min(more, fewer))
