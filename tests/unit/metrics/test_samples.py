"""Samples of a command and of the ledger's figures."""

from collections import Counter
from datetime import UTC, datetime

from engine.ledger.figures.campaigns import CampaignFigures, LedgerFigures
from engine.ledger.journal import Outcome
from engine.ledger.schema import RunState
from engine.metrics import catalogue
from engine.metrics.catalogue import METRICS
from engine.metrics.meter import Meter, Pulse
from engine.metrics.samples import Distribution, MonitoredCommand, Sample, sample_command, sample_ledger

COMMAND = MonitoredCommand(name="launch", campaign="news", sandbox=False, version="1.2.3", started_at=100.0)
AT = datetime(2026, 12, 1, 9, tzinfo=UTC)


def make_campaign(campaign: str = "news", *, state: RunState = RunState.SENDING) -> CampaignFigures:
    return CampaignFigures(
        campaign=campaign,
        sandbox=False,
        state=state,
        is_paused_by_guard=False,
        outcomes={Outcome.SENT: 70, Outcome.IN_DOUBT: 2},
        unsent=28,
        in_flight=3,
        leases={"settled": 1, "open": 1, "free": 2},
        workers=1,
        events={"delivered": 60, "bounced": 1},
        started_at=AT,
        last_commit_at=AT,
        last_wait_at=None,
        oldest_open_at=None,
        last_success_at=None,
    )


def make_figures(receivers: int = 2) -> LedgerFigures:
    counts = {"delivered": 5, "bounced": 1, "soft_bounced": 0, "complained": 0}
    many = {(False, f"d{n}.example"): {**counts, "delivered": 100 + n} for n in range(receivers)}
    return LedgerFigures([make_campaign()], {**many, (False, ""): counts})


def make_meter() -> Meter:
    meter = Meter(outcomes=Counter({"sent": 70}), queue="events", queue_messages=4)
    meter.note_events({"Delivery": 9}, 123.0, 120.0, 150.0)
    for worker, left in (("a", 900.0), ("b", 800.0)):
        pulse = meter.begin(worker)
        pulse.rate_limit, pulse.in_flight, pulse.throttles, pulse.quota_left, pulse.quota_limit = 5.0, 2, 1, left, 1e3
        pulse.calls.observe([*[0.02] * 10, 99.0])
        pulse.commits.observe([0.3])
    return meter


def read_all(meter: Meter, figures: LedgerFigures | None) -> list[Sample]:
    return [*sample_command(COMMAND, meter, ended_at=200.0), *sample_ledger(figures, COMMAND, meter)]


def find(samples: list[Sample], metric: catalogue.Metric) -> dict[tuple[str, ...], float | Distribution]:
    return {sample.labels: sample.value for sample in samples if sample.metric is metric}


def test_every_sample_has_the_labels_of_its_metric_and_is_unique():
    samples = read_all(make_meter(), make_figures())
    assert all(len(sample.labels) == len(sample.metric.labels) for sample in samples)
    assert all(sample.metric in METRICS for sample in samples)
    assert max(Counter((sample.metric.name, sample.labels) for sample in samples).values()) == 1


def test_workers_of_one_launch_add_up():
    samples = read_all(make_meter(), make_figures())
    run = ("news", "false")
    assert find(samples, catalogue.RATE_LIMIT) == {run: 10.0}
    assert find(samples, catalogue.CALLS_IN_FLIGHT) == {run: 4}
    assert find(samples, catalogue.THROTTLES) == {run: 2}
    assert find(samples, catalogue.QUOTA_LEFT) == {("",): 800.0}
    calls = find(samples, catalogue.CALLS)[run]
    assert isinstance(calls, Distribution)
    assert (sum(calls.counts), calls.counts[2], calls.counts[-1]) == (22, 20, 2)
    assert abs(calls.total - 198.4) < 1e-6
    commits = find(samples, catalogue.COMMITS)[run]
    assert isinstance(commits, Distribution)
    assert (sum(commits.counts), commits.total) == (2, 0.6)


def test_lag_of_events_is_of_the_last_batch_that_had_some():
    meter = make_meter()
    assert find(read_all(meter, None), catalogue.EVENT_LAG) == {(): 30.0}
    meter.note_events({"Delivery": 9}, 123.0, 120.0, 999.0)
    assert find(read_all(meter, None), catalogue.EVENT_LAG) == {(): 30.0}
    meter.note_events({"Delivery": 10}, 1_000.0, 1_000.0, 1_002.0)
    assert find(read_all(meter, None), catalogue.EVENT_LAG) == {(): 2.0}


def test_ended_worker_keeps_its_totals_and_has_nothing_in_flight():
    meter = make_meter()
    meter.end_all({"a": None, "unknown": None})
    samples = read_all(meter, make_figures())
    assert find(samples, catalogue.RATE_LIMIT) == {("news", "false"): 5.0}
    assert find(samples, catalogue.THROTTLES) == {("news", "false"): 2}


def test_pulses_of_another_process_replace_its_earlier_ones():
    meter = Meter()
    meter.take({"x": Pulse(throttles=1)})
    meter.take({"x": Pulse(throttles=3)})
    assert find(read_all(meter, None), catalogue.THROTTLES) == {("news", "false"): 3}


def test_receivers_beyond_the_largest_are_added_up():
    values = find(read_all(Meter(), make_figures(receivers=500)), catalogue.RECEIVER)
    receivers = {labels[1] for labels in values}
    assert len(receivers) == catalogue.RECEIVERS + 1
    assert catalogue.OTHER in receivers
    assert sum(v for v in values.values() if isinstance(v, int | float)) == sum(100 + n + 1 for n in range(500)) + 6


def test_unreachable_ledger_leaves_what_the_command_measures():
    samples = read_all(make_meter(), None)
    assert find(samples, catalogue.LEDGER_UP) == {(): 0}
    assert find(samples, catalogue.SENT)["news", "false", "sent"] == 70
    assert find(samples, catalogue.RUN_STATE) == {}


def test_guard_level_is_the_warning_of_this_command_alone():
    meter, figures = make_meter(), LedgerFigures([make_campaign(), make_campaign("other")], {})
    meter.begin("a").is_warned = True
    assert find(read_all(meter, figures), catalogue.GUARD) == {("news", "false"): 1, ("other", "false"): 0}


def test_names_follow_the_conventions_of_prometheus():
    for metric in METRICS:
        assert metric.name.startswith("mailrun_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.name.endswith("_timestamp_seconds") == (metric.unit == "Unix time")
        assert metric.meaning.endswith(".")
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_kinds_of_events_that_others_name_are_one_label():
    meter = make_meter()
    meter.queue = "events"
    meter.note_events({"Bounce": 2, **{f"evil{number}": 1 for number in range(1000)}}, None, None, 0.0)
    counted = {one.labels: one.value for one in read_all(meter, make_figures()) if one.metric is catalogue.EVENTS}
    assert counted == {("Bounce",): 2, ("other",): 1000}
