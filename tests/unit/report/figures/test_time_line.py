"""The time line: every outcome in one step, throttles and limits where their samples are."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from engine.ledger.figures.pace import PaceSample
from engine.report.figures.time_line import MOST_STEPS, choose_step, make_time_line

START = datetime(2026, 11, 24, 9, tzinfo=UTC)


def make_outcomes(*of: tuple[str, float]) -> pl.LazyFrame:
    rows = [(outcome, START.replace(tzinfo=None) + timedelta(seconds=seconds)) for outcome, seconds in of]
    frame = pl.LazyFrame(rows, schema={"outcome": pl.String, "at": pl.Datetime}, orient="row")
    return frame.with_columns(pl.col("at").dt.cast_time_unit("ms").dt.replace_time_zone("UTC"))


def sample(worker: str, end: float, *, throttled: int = 0, limit: float = 10.0, seconds: float = 60.0) -> PaceSample:
    return PaceSample(
        worker=worker, at=START + timedelta(seconds=end), seconds=seconds, handed_over=1, throttled=throttled,
        rate_limit=limit, in_flight=0, latency_ms=1.0,
    )  # fmt: skip


@pytest.mark.parametrize("seconds", [0, 1, 498, 499, 500, 4_999, 30_000, 300_000, 1_800_000, 43_200_000, 10**9])
def test_step_keeps_the_line_short_wherever_it_begins(seconds: int) -> None:
    step = choose_step(seconds)
    for begin in (0, step - 1):
        assert (begin + seconds) // step - begin // step + 1 <= MOST_STEPS


def test_outcomes_are_counted_in_their_step_and_gaps_are_zero() -> None:
    line = make_time_line(make_outcomes(("sent", 0.2), ("sent", 0.9), ("failed", 2), ("refused", 2), ("in_doubt", 9)))
    assert line.step_seconds == 1
    assert (line.sent, line.failed) == ([2, 0, 0], [0, 0, 2])
    assert line.at == [int(START.timestamp()) + second for second in range(3)]
    assert (line.throttled, line.limit) == ([0, 0, 0], [None, None, None])


def test_a_run_without_outcomes_has_no_line() -> None:
    assert make_time_line(make_outcomes()).at == ()


def test_limits_of_workers_are_added_and_every_throttle_counts() -> None:
    outcomes = make_outcomes(("sent", 0), ("sent", 1200))
    samples = [sample("a", 60, throttled=2), sample("b", 60, limit=5.0), sample("a", 9_999, throttled=3)]
    line = make_time_line(outcomes, samples)
    assert line.step_seconds == 10
    assert line.limit[:7] == [15.0] * 7
    assert line.limit[8] is None
    assert sum(line.throttled) == 5
    assert (line.throttled[6], line.throttled[-1]) == (2, 3)
