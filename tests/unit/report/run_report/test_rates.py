"""Rates of runs side by side."""

from support.report_figures import START, make_bare_figures

from engine.report.figures.document import EarlierRun
from engine.report.run_report.rates import KINDS, compare_runs

_BOUNCED = [kind.name for kind in KINDS].index("Bounced")
_DELIVERED = [kind.name for kind in KINDS].index("Delivered")


def compare(mine: tuple[int, int], theirs: tuple[int, int], rate: int = _BOUNCED) -> tuple[str, str]:
    """Compare two runs by one rate: (events, sent) each; return the difference in words and its tone."""
    kind = KINDS[rate]
    earlier = EarlierRun("welcome/1", START, {"accepted": theirs[1], "sent": theirs[1]}, {kind.part: theirs[0]})
    accounts = {"rows_read": mine[1], "accepted": mine[1], "sent": mine[1]}
    figures = make_bare_figures(accounts=accounts, feedback={kind.part: mine[0]}, earlier=(earlier,))
    own, other = compare_runs(figures)
    assert own.rates[rate].difference == ""
    return other.rates[rate].difference, other.rates[rate].tone


def test_more_bounces_are_worse_and_fewer_are_better():
    assert compare((500, 10_000), (100, 10_000)) == ("now 4.0 higher, worse", "bad")
    assert compare((100, 10_000), (500, 10_000)) == ("now 4.0 lower, better", "good")


def test_more_deliveries_are_better():
    assert compare((9_900, 10_000), (9_500, 10_000), _DELIVERED) == ("now 4.0 higher, better", "good")


def test_small_runs_differ_by_chance():
    assert compare((5, 100), (1, 100)) == ("now 4.0 higher, maybe chance", "")


def test_equal_rates_are_the_same():
    assert compare((100, 10_000), (200, 20_000)) == ("now the same", "")


def test_rate_without_a_whole_is_not_compared():
    assert compare((0, 0), (5, 100)) == ("", "")
    assert compare((5, 100), (0, 0)) == ("", "")


def test_more_events_than_messages_are_compared_without_an_error():
    assert compare((12, 10), (20, 10))[0].startswith("now 80.0 lower")
