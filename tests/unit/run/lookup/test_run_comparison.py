"""Runs side by side: rates, differences that are not chance, and time to send."""

from datetime import UTC, datetime, timedelta
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.report.binomial import find_chance
from engine.report.figures.document import TimeLine
from engine.run.lookup.run_comparison import (
    RATES,
    RunBesideOthers,
    draw_progress,
    find_differences,
    find_rate,
    list_receivers,
)

AT = datetime(2026, 11, 24, 9, tzinfo=UTC)


def make_run(
    name: str = "news/1", *, sent: int = 10_000, receivers: dict[str, dict[str, int]] | None = None, **feedback: int
) -> RunBesideOthers:
    counts = {"rows_read": sent, "accepted": sent, "excluded": 0, "sent": sent}
    return RunBesideOthers(
        run=name, state="finished", sandbox=False, started_at=AT, finished_at=AT + timedelta(minutes=2),
        counted_at=None, accounts=counts, excluded={}, feedback={"delivered": sent, **feedback},
        receivers=receivers or {}, time_line=None,
    )  # fmt: skip


def test_clear_difference_is_found_with_its_direction() -> None:
    runs = [make_run(bounced=50), make_run("news/2", bounced=400), make_run("news/3", bounced=52)]
    (found,) = find_differences(runs)
    assert (found.run, found.base, found.kind.name) == ("news/2", "news/1", "Bounced")
    assert (found.is_more, found.is_better) == (True, False)


def test_opens_and_clicks_by_machines_are_not_compared() -> None:
    assert find_differences([make_run(opened=2000, clicked=100), make_run("news/2", opened=4000, clicked=900)]) == []
    (found,) = find_differences([make_run(opened_by_people=2000), make_run("news/2", opened_by_people=4000)])
    assert (found.kind.name, found.is_better) == ("Opened by people", True)


@given(st.integers(0, 200), st.integers(1, 10_000), st.integers(1, 10_000))
def test_equal_rates_never_differ(per_mille: int, first: int, second: int) -> None:
    cases, others = (whole * per_mille // 1000 for whole in (first, second))
    assert find_chance((cases, first), (others, second)) > 0.01 or abs(cases / first - others / second) > 0.001


@given(st.integers(0, 12), st.integers(12, 40), st.integers(0, 12), st.integers(12, 40))
def test_probability_is_that_of_the_conditional_test(x: int, n: int, y: int, m: int) -> None:
    first, second = (x, n), (y, m)
    found = find_chance(first, second)
    if x + y > (n + m) / 2:
        x, y = n - x, m - y
    total, share = x + y, m / (n + m)
    terms = [comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(total + 1)]
    assert found == pytest.approx(min(1.0, 2 * min(sum(terms[y:]), sum(terms[: y + 1]))), abs=1e-9)
    assert find_chance(second, first) == pytest.approx(found, abs=1e-9)


def test_rate_of_nothing_is_not_compared() -> None:
    empty = make_run("news/2", sent=0)
    assert find_differences([make_run(), empty]) == []
    assert all(find_rate(empty, kind).share is None for kind in RATES)


def test_receivers_are_the_largest_of_all_runs_and_the_rest_comes_last() -> None:
    first = make_run(receivers={"": {"proven": 900}, "a.example": {"proven": 5}, "b.example": {"proven": 7}})
    second = make_run(receivers={"a.example": {"proven": 9}})
    assert list_receivers([first, second]) == ["a.example", "b.example", ""]


def test_progress_ends_with_everything() -> None:
    line = TimeLine(
        step_seconds=10, at=[100, 110, 130], sent=[5, 10, 5], failed=[0, 0, 0], throttled=[0, 0, 0],
        limit=[None, None, None],
    )  # fmt: skip
    run = make_run()
    values = {name: getattr(run, name) for name in run.__struct_fields__} | {"time_line": line}
    assert draw_progress(RunBesideOthers(**values)) == [(0.0, 0.0), (10.0, 25.0), (20.0, 75.0), (40.0, 100.0)]
    assert draw_progress(run) == []
    assert run.seconds == 120
