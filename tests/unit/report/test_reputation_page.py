"""The reputation as text and as JSON."""

import json
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from engine.account.reputation.findings import Recommendation, SuppressionGrowth
from engine.account.reputation.limits import RateKind
from engine.account.reputation.picture import MissingPart, SesReputation
from engine.account.reputation.rates import RatePoint, RateSeries
from engine.account.reputation.vdm import VdmFigures, VdmGroup, VdmReading
from engine.report.own_figures import OwnFigures, OwnReputation, add_up_receivers
from engine.report.reputation_page import ReputationReport, draw_trend

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SES = SesReputation(
    region="eu-west-1",
    at=NOW,
    days=3,
    enforcement="HEALTHY",
    sending_enabled=True,
    rates=(),
    vdm=None,
    recommendations=(),
    entities=(),
    suppressed=None,
    missing=(),
)


def with_rate(
    kind: RateKind, value: float, *, configuration_set: str | None = None, age_hours: float = 1
) -> SesReputation:
    series = RateSeries(kind, configuration_set, (RatePoint(NOW - timedelta(hours=age_hours), value),))
    return replace(SES, rates=(series,))


def show(ses: SesReputation, own: OwnReputation | None = None) -> str:
    return "\n".join(ReputationReport(ses, own, "no workspace").to_lines())


def test_report_is_stopped_at_the_level_at_which_ses_may_pause() -> None:
    def is_stopped(ses: SesReputation) -> bool:
        return ReputationReport(ses, None).is_stopped

    assert not is_stopped(with_rate(RateKind.BOUNCE, 0.0999))
    assert is_stopped(with_rate(RateKind.BOUNCE, 0.1))
    assert is_stopped(with_rate(RateKind.COMPLAINT, 0.005))
    assert not is_stopped(with_rate(RateKind.COMPLAINT, 0.0049))
    assert not is_stopped(with_rate(RateKind.BOUNCE, 0.5, configuration_set="m"))  # SES judges the account
    assert is_stopped(replace(SES, sending_enabled=False))
    assert is_stopped(replace(SES, enforcement="SHUTDOWN"))
    assert not is_stopped(replace(SES, enforcement=None, sending_enabled=None))


def test_report_marks_rates_with_each_limit() -> None:
    text = show(with_rate(RateKind.COMPLAINT, 0.002))
    assert "account, complaints" in text
    assert "0.20%" in text
    assert "over: SES 0.10%; over: Gmail 0.10%" in text
    assert "near: SES 5.0%" in show(with_rate(RateKind.BOUNCE, 0.03))
    assert "published none since" in show(with_rate(RateKind.BOUNCE, 0.03, age_hours=30))


def test_report_shows_every_part_and_escapes_what_others_wrote() -> None:
    recommendation = Recommendation("SPF", "HIGH", "arn:aws:ses:x", "Fix\x1b[31m it\nerror: forged", None)
    ses = replace(
        SES,
        recommendations=(recommendation,),
        suppressed=SuppressionGrowth({"BOUNCE": 3}, {}, is_cut=True),
        vdm=VdmReading((VdmFigures(VdmGroup("ISP", "Gmail"), {"SEND": 10, "DELIVERY": 9}),), 1, 2),
        missing=(MissingPart("reputation entities", "SES answered AccessDenied", "add this line"),),
    )
    text = show(ses)
    assert "\x1b" not in text
    assert "\nerror: forged" not in text
    assert "at least 3 added (3 bounce)" in text
    assert "receiver Gmail" in text
    assert "not shown: reputation entities: SES answered AccessDenied\n   do: add this line" in text
    assert "our own figures are not shown: no workspace" in text


def test_own_figures_are_added_up_by_provider_and_marked() -> None:
    counts = {"proven": 100, "delivered": 90, "bounced": 6, "soft_bounced": 0, "complained": 0}
    sums = add_up_receivers({"gmail.com": counts, "googlemail.com": counts, "acme.example": counts, "": counts})
    assert {name: each["proven"] for name, each in sums.items()} == {"Gmail": 200, "others": 200}
    figures = OwnFigures("Gmail", 200, 180, 12, 0)
    text = show(SES, OwnReputation((figures,), (figures,)))
    assert "6.0%" in text
    assert "bounces over" in text
    document = json.loads(json.dumps(ReputationReport(SES, OwnReputation((figures,), ())).to_json()))
    assert document["receivers"][0]["bounce_rate"] == 0.06
    assert OwnFigures("x", 0, 0, 0, 0).bounce_rate is None


def test_json_has_each_day_and_mark_of_a_rate() -> None:
    (rate,) = ReputationReport(with_rate(RateKind.COMPLAINT, 0.004), None).to_json()["rates"]
    assert rate["days"] == [None, None, 0.004]
    assert [(mark["whose"], mark["mark"], mark["passed"]) for mark in rate["marks"]] == [
        ("SES", "over", 0.001),
        ("Gmail", "over", 0.003),
    ]


def test_trend_shows_gaps_and_stays_within_its_bars() -> None:
    assert draw_trend([None, 0.0, 0.05, 0.1, 1.0], 0.05) == "·▁▅██"
