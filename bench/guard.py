"""Recipients of a bad audience that are sent to before the guard pauses the run, and false alarms for a good one.

A model around the guard's own judgement: recipients are sent to at a constant rate; an event reports each after the
delays of receiver and queue, both exponential; a worker checks every second, as at its heartbeat.
"""

import random
from collections.abc import Iterator
from statistics import median, quantiles

from engine.run.guard.judge import EventTotals, GuardLevel, GuardRate, judge, measure_events, measure_run

RUNS = 40
BOUNCE_LIMIT = 0.05
RATES = (14, 100, 1000)  # recipients a second
DELAYS = (2.0, 30.0)  # mean seconds from acceptance to the event in the ledger
BAD = (0.1, 0.3, 1.0)
LONGEST_SECONDS = 3600


def main() -> None:
    """Print recipients sent to at the pause: median and 95 % of runs; "at once" is without delays."""
    worlds = [(rate, delay) for rate in RATES for delay in DELAYS]
    print(f"{'bad':<6}{'at once':>16}" + "".join(f"{f'{rate}/s, {delay:.0f} s':>18}" for rate, delay in worlds))
    for bad in BAD:
        least = _describe([_count_needed(bad, seed) for seed in range(RUNS)])
        cells = [_describe([_run(bad, *world, seed) for seed in range(RUNS)]) for world in worlds]
        print(f"{bad:<6.0%}{least:>16}" + "".join(f"{cell:>18}" for cell in cells))
    print(f"paused wrongly, of 200 runs of 1,000,000 with half the limit: {_count_false_alarms(200)}")


def _describe(counts: list[int]) -> str:
    return f"{median(counts):,.0f} ({quantiles(counts, n=20)[-1]:,.0f})"


def _count_needed(bad: float, seed: int) -> int:
    """Count recipients until the guard pauses, if every event arrives at once and is checked at once."""
    dice, bounced, sent = random.Random(seed), 0, 0  # noqa: S311 - a simulation
    while True:
        sent += 1
        bounced += dice.random() < bad
        if _pauses(EventTotals(proven=sent, delivered=sent - bounced, bounced=bounced)):
            return sent


def _run(bad: float, rate: int, delay: float, seed: int) -> int:
    """Count the recipients sent to when the guard pauses."""
    dice = random.Random(seed)  # noqa: S311 - as above
    due: dict[int, list[int]] = {}  # second -> Send events, deliveries, bounces
    totals = [0, 0, 0]
    for second in range(LONGEST_SECONDS):
        for _ in range(rate):
            _count(due, second + dice.expovariate(2 / delay), 0)
            _count(due, second + dice.expovariate(1 / delay), 2 if dice.random() < bad else 1)
        totals = [known + new for known, new in zip(totals, due.pop(second, [0, 0, 0]), strict=True)]
        ended = totals[1] + totals[2]
        if _pauses(EventTotals(proven=max(totals[0], ended), delivered=totals[1], bounced=totals[2])):
            return (second + 1) * rate
    return LONGEST_SECONDS * rate


def _count(due: dict[int, list[int]], at: float, kind: int) -> None:
    due.setdefault(int(at) + 1, [0, 0, 0])[kind] += 1


def _pauses(totals: EventTotals) -> bool:
    measures = measure_events(totals, bounce_limit=BOUNCE_LIMIT, complaint_limit=0.001, are_deliveries_reported=True)
    found = judge(measures)
    return bool(found) and found[0].level is GuardLevel.PAUSE


def _count_false_alarms(runs: int) -> int:
    return sum(_is_paused_wrongly(random.Random(seed)) for seed in range(runs))  # noqa: S311 - as above


def _is_paused_wrongly(dice: random.Random) -> bool:
    return any(
        (found := judge([measure_run(GuardRate.BOUNCE, bad, judged, BOUNCE_LIMIT)]))
        and found[0].level is GuardLevel.PAUSE
        for bad, judged in _iterate_bounces(dice)
    )


def _iterate_bounces(dice: random.Random) -> Iterator[tuple[int, int]]:
    """Yield the counts at every bounce of a run of a million at half the limit."""
    judged, bad = 0, 0
    while judged < 1_000_000:
        judged += int(dice.expovariate(BOUNCE_LIMIT / 2)) + 1
        bad += 1
        if bad < 1000 or bad % 100 == 0:  # later a single bounce changes nothing
            yield bad, judged
