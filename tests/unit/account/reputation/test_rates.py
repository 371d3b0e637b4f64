"""What CloudWatch answers becomes rates; what cannot be one is left out."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.account.reputation.limits import RateKind
from engine.account.reputation.rates import (
    MOST_PAGES,
    QUERIES_AT_ONCE,
    RatePoint,
    RateSeries,
    list_sets,
    make_queries,
    read_points,
    read_rates,
)
from engine.errors import ServiceError

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class CannedCloudWatch:
    """Answers with pages, one after the other, the last one again and again."""

    def __init__(self, *pages: Mapping[str, Any]) -> None:
        self._pages = list(pages)
        self.calls: list[dict[str, Any]] = []

    async def get_metric_data(self, **parameters: Any) -> Mapping[str, Any]:
        self.calls.append(parameters)
        return self._pages.pop(0) if len(self._pages) > 1 else self._pages[0]

    list_metrics = get_metric_data


def back(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def test_read_points_sorts_and_leaves_out_what_cannot_be_a_rate() -> None:
    values: Sequence[tuple[Any, Any]] = [
        (back(1), 0.02),
        (back(3), 0.01),
        (back(2), math.nan),
        (back(4), math.inf),
        (back(5), -0.1),
        (back(6), 1.1),
        (back(7), None),
        (back(8), "0.5"),
        (back(9), True),
        ("yesterday", 0.9),
        (back(-2), 0.9),  # later than now
        (back(10).replace(tzinfo=None), 0),
        (back(3), 0.03),  # the same hour again
    ]
    points = [(point.at, point.value) for point in read_points(values, NOW)]
    assert points == [(back(10), 0.0), (back(3), 0.03), (back(1), 0.02)]


def test_by_day_takes_the_highest_of_each_day_and_shows_gaps() -> None:
    points = (RatePoint(back(60), 0.5), RatePoint(back(5), 0.1), RatePoint(back(4), 0.3), RatePoint(back(1), 0.2))
    series = RateSeries(RateKind.BOUNCE, None, points)
    assert series.by_day(NOW.date(), 4) == [None, 0.5, None, 0.3]
    assert series.latest == RatePoint(back(1), 0.2)
    assert RateSeries(RateKind.BOUNCE, None, ()).latest is None


async def test_read_rates_joins_pages_and_asks_in_parts() -> None:
    first = {
        "MetricDataResults": [{"Id": "m0", "Timestamps": [back(1)], "Values": [0.02], "StatusCode": "PartialData"}],
        "NextToken": "more",
    }
    second = {
        "MetricDataResults": [
            {"Id": "m0", "Timestamps": [back(2), back(3)], "Values": [0.01], "StatusCode": "Complete"},
            {"Id": "unknown", "Timestamps": [back(2)], "Values": [0.9]},
            {"Id": "m1"},
        ]
    }
    client = CannedCloudWatch(first, second, {"MetricDataResults": []})
    sets = [{"ses:configuration-set": f"set{number}"} for number in range(QUERIES_AT_ONCE)]
    series = await read_rates(client, sets, now=NOW, days=30)
    assert [(point.at, point.value) for point in series[0].points] == [(back(2), 0.01), (back(1), 0.02)]
    assert series[1].points == ()
    assert len(series) == 2 * (1 + len(sets))
    assert [len(call["MetricDataQueries"]) for call in client.calls] == [50, 50, 50, 2]
    assert client.calls[1]["NextToken"] == "more"
    assert series[2].configuration_set == "set0"


async def test_read_rates_stops_after_some_pages_of_an_endless_answer() -> None:
    client = CannedCloudWatch({"MetricDataResults": [], "NextToken": "again"})
    await read_rates(client, [], now=NOW, days=1)
    assert len(client.calls) == MOST_PAGES


@pytest.mark.parametrize("status", ["Forbidden", "InternalError"])
async def test_read_rates_fails_when_a_metric_has_no_answer(status: str) -> None:
    client = CannedCloudWatch({"MetricDataResults": [{"Id": "m0", "StatusCode": status}]})
    with pytest.raises(ServiceError, match=status):
        await read_rates(client, [], now=NOW, days=1)


async def test_list_sets_takes_only_configuration_sets() -> None:
    def metric(**dimensions: str) -> dict[str, Any]:
        return {"Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()]}

    one = {"ses:configuration-set": "marketing"}
    page = {"Metrics": [metric(), metric(**one), metric(**one, other="x"), metric(other="y"), {}]}
    assert await list_sets(CannedCloudWatch(page)) == [one]


def test_a_query_names_the_metric_and_its_dimensions() -> None:
    (query,) = make_queries([(RateKind.COMPLAINT, {"ses:configuration-set": "m"})])
    metric = query["MetricStat"]["Metric"]
    assert (metric["Namespace"], metric["MetricName"]) == ("AWS/SES", "Reputation.ComplaintRate")
    assert metric["Dimensions"] == [{"Name": "ses:configuration-set", "Value": "m"}]
