"""The charts of a run's time line."""

from datetime import timedelta

from support.clock import START

from engine.dashboard.pages.one_run import make_points
from engine.ledger.figures.pace import PaceStep


def make_step(at: float, seconds: float, handed_over: float) -> PaceStep:
    """Make a step that begins `at` seconds after START."""
    return PaceStep(
        begins_at=START + timedelta(seconds=at),
        seconds=seconds,
        handed_over=handed_over,
        throttled=0,
        rate_limit=10,
        in_flight=1,
        latency_ms=20,
        workers=1,
    )


def draw(*steps: PaceStep) -> list[tuple[float, float | None]]:
    """Return where the points of the rate are, in seconds after START."""
    points = make_points(steps)
    return [(round((point["at"] or 0) - START.timestamp(), 1), point["rate"]) for point in points]


def test_time_line_reaches_from_the_first_to_the_last_sample():
    assert draw(make_step(15, 45, 450), make_step(60, 20, 100)) == [(15, 10), (60, 5), (80, 5)]


def test_pause_breaks_the_line():
    """The line does not run on through the pause at the rate before it."""
    assert draw(make_step(0, 12, 120), make_step(600, 20, 200)) == [
        (0, 10),
        (12, 10),
        (12, None),
        (600, 10),
        (620, 10),
    ]


def test_run_without_samples_has_no_points():
    assert draw() == []
