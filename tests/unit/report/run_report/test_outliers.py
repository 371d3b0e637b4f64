"""Values of a breakdown that fare far worse than the others."""

from engine.report.figures.document import Breakdown, BreakdownRow
from engine.report.run_report.outliers import find_outliers


def make_table(*rows: tuple[int, int, int]) -> Breakdown:
    """Make a table of receivers `0.example`, `1.example` …: sent, bounced and complained of each."""
    return Breakdown("receiver", [
        BreakdownRow(f"{at}.example", sent, sent, {"bounced": bounced, "complained": complained})
        for at, (sent, bounced, complained) in enumerate(rows)
    ])  # fmt: skip


def test_receiver_that_bounces_far_more_is_found():
    assert find_outliers(make_table((5000, 10, 0), (164, 35, 0))) == {("1.example", "bounced")}


def test_receiver_that_complains_far_more_is_found_among_many():
    rows = [(1000, 5, 0)] * 40 + [(1000, 5, 20)]
    assert find_outliers(make_table(*rows)) == {("40.example", "complained")}


def test_few_events_are_chance():
    assert find_outliers(make_table((5000, 10, 1), (50, 1, 1))) == set()


def test_clear_difference_that_is_small_is_not_far():
    assert find_outliers(make_table((1_000_000, 10_000, 0), (1_000_000, 12_000, 0))) == set()


def test_table_of_one_value_or_of_nothing_has_none():
    assert find_outliers(make_table((100, 90, 90))) == set()
    assert find_outliers(make_table((0, 3, 3), (0, 0, 0))) == set()
    assert find_outliers(make_table()) == set()
