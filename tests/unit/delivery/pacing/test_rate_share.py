"""The rate is computed in one place: all callers get the same number."""

from hypothesis import given
from hypothesis import strategies as st

from engine.account.quota import AccountQuota
from engine.campaign.spec import parse_spec
from engine.delivery.pacing.pacer import FLOOR
from engine.delivery.pacing.rate_share import RateShare, find_rate
from engine.run.prepare.run_forecast import forecast_run

rates = st.floats(0.1, 10_000.0)


@given(max_send_rate=rates, rate_share=st.floats(0.01, 1.0), max_rate=st.none() | rates, workers=st.integers(1, 50))
def test_forecast_and_workers_use_one_rate(
    max_send_rate: float, rate_share: float, max_rate: float | None, workers: int
):
    limit = "" if max_rate is None else f"max_rate = {max_rate!r}\n"
    spec = parse_spec(
        'from = "a@b.example"\nsubject = "s"\nkind = "transactional"\n[audience]\nsource = "x.csv"\n'
        f'[content]\ntext = "t"\n[delivery]\nrate_share = {rate_share!r}\n{limit}',
        file="campaign.toml",
    )
    quota = AccountQuota(max_send_rate, None, 0.0, production=True, sending_enabled=True, enforcement="HEALTHY")
    share = RateShare(quota, spec, now=0.0)
    share.share(workers)
    assert forecast_run(10, spec.delivery, quota).rate == share.rate == find_rate(max_send_rate, spec.delivery)
    assert share.ceiling == share.rate / workers
    assert share.rate == min(max_send_rate * rate_share, max_rate or max_send_rate)


@given(max_send_rate=rates, others=st.floats(0.0, 20_000.0))
def test_rate_leaves_other_senders_theirs_above_a_floor(max_send_rate: float, others: float):
    spec = parse_spec(
        'from = "a@b.example"\nsubject = "s"\nkind = "transactional"\n[audience]\nsource = "x.csv"\n'
        '[content]\ntext = "t"\n',
        file="campaign.toml",
    )
    found = find_rate(max_send_rate, spec.delivery, others=others)
    assert found == max(max_send_rate - others, max_send_rate * FLOOR)


@given(of_regions=st.lists(st.tuples(rates, st.integers(1, 5)), min_size=1, max_size=4), max_rate=rates)
def test_workers_of_all_regions_stay_within_each_account_and_the_campaign(
    of_regions: list[tuple[float, int]], max_rate: float
):
    spec = parse_spec(
        'from = "a@b.example"\nsubject = "s"\nkind = "transactional"\n[audience]\nsource = "x.csv"\n'
        f'[content]\ntext = "t"\n[delivery]\nmax_rate = {max_rate!r}\n',
        file="campaign.toml",
    )
    total, everyone = 0.0, sum(workers for _, workers in of_regions)
    for rate, workers in of_regions:
        quota = AccountQuota(rate, None, 0.0, production=True, sending_enabled=True, enforcement="HEALTHY")
        share = RateShare(quota, spec, now=0.0)
        share.share(workers, everyone)
        assert share.ceiling * workers <= rate * 1.000001
        total += share.ceiling * workers
    assert total <= max_rate * 1.000001
