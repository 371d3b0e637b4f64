"""Rates of runs side by side."""

from datetime import timedelta
from typing import Any

from support.report_figures import START, make_bare_figures

from engine.report.figures.document import EarlierRun
from engine.report.run_report.rates import KINDS, MINUS, SETTLED, compare_runs

_OLD: dict[str, Any] = {"is_sandbox": False, "finished_at": START, "made_at": START + SETTLED}
_BOUNCED = [kind.name for kind in KINDS].index("Bounced")
_DELIVERED = [kind.name for kind in KINDS].index("Delivered")


def compare(mine: tuple[int, int], theirs: tuple[int, int], rate: int = _BOUNCED) -> tuple[str, str]:
    """Compare two runs by one rate: (events, sent) each; return the difference in words and its tone."""
    kind = KINDS[rate]
    earlier = EarlierRun("welcome/1", START, {"accepted": theirs[1], "sent": theirs[1]}, {kind.part: theirs[0]})
    accounts = {"rows_read": mine[1], "accepted": mine[1], "sent": mine[1]}
    figures = make_bare_figures(accounts=accounts, feedback={kind.part: mine[0]}, earlier=(earlier,), **_OLD)
    own, other = compare_runs(figures)
    assert own.rates[rate].difference == ""
    return other.rates[rate].difference, other.rates[rate].tone


def test_more_bounces_are_worse_and_fewer_are_better():
    assert compare((500, 10_000), (100, 10_000)) == ("+4.0, worse", "bad")
    assert compare((100, 10_000), (500, 10_000)) == (f"{MINUS}4.0, better", "good")


def test_more_deliveries_are_better():
    assert compare((9_900, 10_000), (9_500, 10_000), _DELIVERED) == ("+4.0, better", "good")


def test_small_runs_differ_by_chance():
    assert compare((5, 100), (1, 100)) == ("+4.0, maybe chance", "")


def test_equal_rates_are_the_same():
    assert compare((100, 10_000), (200, 20_000)) == ("same", "")


def test_rate_without_a_whole_is_not_compared():
    assert compare((0, 0), (5, 100)) == ("", "")
    assert compare((5, 100), (0, 0)) == ("", "")


def test_more_events_than_messages_are_compared_without_an_error():
    assert compare((12, 10), (20, 10))[0].startswith(f"{MINUS}80.0")


def test_small_counts_need_more_than_the_normal_approximation_says():
    """6 of 1,000 against 0 are 2.5 standard deviations, but chance brings one of seven rates as far more often."""
    assert compare((6, 1000), (0, 1000)) == ("+0.6, maybe chance", "")


def test_each_of_more_comparisons_must_be_clearer():
    kind = KINDS[_BOUNCED]
    accounts = {"rows_read": 10_000, "accepted": 10_000, "sent": 10_000}

    def judge(runs: int) -> str:
        earlier = [EarlierRun(f"welcome/{n}", START, accounts, {kind.part: 100}) for n in range(runs)]
        figures = make_bare_figures(accounts=accounts, feedback={kind.part: 155}, earlier=earlier, **_OLD)
        return compare_runs(figures)[1].rates[_BOUNCED].difference

    assert (judge(1), judge(10)) == ("+0.5, worse", "+0.5, maybe chance")


def judge_early(after: timedelta, **changes: Any) -> str:
    """Compare 1% with 5% of an earlier run, some time after the end."""
    kind, accounts = KINDS[_BOUNCED], {"rows_read": 10_000, "accepted": 10_000, "sent": 10_000}
    earlier = EarlierRun("welcome/1", START, accounts, {kind.part: 500})
    changes = {**_OLD, "made_at": START + after, "feedback": {kind.part: 100}} | changes
    figures = make_bare_figures(accounts=accounts, earlier=(earlier,), **changes)
    return compare_runs(figures)[1].rates[_BOUNCED].difference


def test_a_rate_that_still_rises_is_not_judged_by_being_low():
    assert judge_early(SETTLED / 2) == f"{MINUS}4.0, too early"
    assert judge_early(SETTLED) == f"{MINUS}4.0, better"


def test_a_rate_that_is_high_already_is_judged_early():
    assert judge_early(SETTLED / 2, feedback={"bounced": 900}) == "+4.0, worse"


def test_events_of_the_sandbox_come_at_once():
    assert judge_early(SETTLED / 2, is_sandbox=True) == f"{MINUS}4.0, better"
