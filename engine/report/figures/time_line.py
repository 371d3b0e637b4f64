"""The time line of a run: outcomes by step of time, throttles and the permitted rate."""

from collections.abc import Sequence

import polars as pl

from engine.ledger.figures.pace import PaceSample
from engine.ledger.journal import Outcome
from engine.report.figures.document import TimeLine

MOST_STEPS = 500
STEPS = (1, 10, 60, 600, 3600, 86_400)
_COUNTED = (Outcome.SENT, Outcome.REFUSED, Outcome.FAILED)
NO_TIME_LINE = TimeLine(STEPS[0], (), (), (), (), ())


def choose_step(seconds: int) -> int:
    """Choose the step, in seconds, that divides a time into at most MOST_STEPS steps.

    >>> choose_step(499), choose_step(500), choose_step(4_990), choose_step(2_000_000)
    (1, 10, 10, 86400)
    """
    for step in STEPS:
        if (step - 1 + seconds) // step + 1 <= MOST_STEPS:  # wherever it begins
            return step
    days = -(-seconds // (STEPS[-1] * (MOST_STEPS - 2)))
    return days * STEPS[-1]


def make_time_line(outcomes: pl.LazyFrame, samples: Sequence[PaceSample] = ()) -> TimeLine:
    """Make the time line.

    Args:
        outcomes: `outcome` and `at` of recipients.
        samples: how fast each worker sent.
    """
    second = (pl.col("at").dt.epoch("ms") // 1000).alias("second")
    counted = outcomes.filter(pl.col("outcome").is_in([str(one) for one in _COUNTED])).select("outcome", second)
    first, last = counted.select(pl.col("second").min(), pl.col("second").max().alias("last")).collect().row(0)
    if first is None:
        return NO_TIME_LINE
    step = choose_step(last - first)
    begin = first // step * step
    steps = (last - begin) // step + 1
    is_sent = pl.col("outcome") == Outcome.SENT.value
    counts = (
        counted.group_by(((pl.col("second") - begin) // step).alias("step"))
        .agg(is_sent.sum().alias("sent"), (~is_sent).sum().alias("failed"))
        .collect(engine="streaming")
    )
    joined = _number(steps).join(counts, on="step", how="left").sort("step")
    return TimeLine(
        step_seconds=step,
        at=(begin + joined["step"] * step).to_list(),
        sent=joined["sent"].fill_null(0).to_list(),
        failed=joined["failed"].fill_null(0).to_list(),
        throttled=_place_throttles(samples, begin, step, steps),
        limit=_place_limits(samples, begin, step, steps),
    )


def _number(steps: int) -> pl.DataFrame:
    return pl.DataFrame({"step": pl.int_range(steps, eager=True, dtype=pl.Int64)})


def _place_throttles(samples: Sequence[PaceSample], begin: int, step: int, steps: int) -> list[int]:
    """Add up throttle replies by the step in which their sample ends; those outside count in the first or last one."""
    counts = [0] * steps
    for sample in samples:
        place = int(sample.at.timestamp() - begin) // step
        counts[min(max(place, 0), steps - 1)] += sample.throttled
    return counts


def _place_limits(samples: Sequence[PaceSample], begin: int, step: int, steps: int) -> list[float | None]:
    """Find the rate that all workers together may send in each step: for each worker the mean of its samples in it."""
    if not samples:
        return [None] * steps
    ends = [sample.at.timestamp() for sample in samples]
    known = pl.DataFrame({
        "worker": [sample.worker for sample in samples],
        "rate_limit": [sample.rate_limit for sample in samples],
        "first": [int(end - sample.seconds - begin) // step for end, sample in zip(ends, samples, strict=True)],
        "last": [int(end - begin) // step for end in ends],
    })  # fmt: skip
    inside = _number(steps).join_where(known, pl.col("step") >= pl.col("first"), pl.col("step") <= pl.col("last"))
    of_workers = inside.group_by("step", "worker").agg(pl.col("rate_limit").mean())
    limits = of_workers.group_by("step").agg(pl.col("rate_limit").sum())
    return _number(steps).join(limits, on="step", how="left").sort("step")["rate_limit"].to_list()
