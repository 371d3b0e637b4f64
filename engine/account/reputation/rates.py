"""Bounce and complaint rates as SES computes them: CloudWatch's metrics of the namespace AWS/SES.

Sources: SES developer guide, "Creating reputation monitoring alarms using CloudWatch" (names; decimal numbers between 0
and 1); CloudWatch API reference, GetMetricData and ListMetrics.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from msgspec import Struct

from engine.account.reputation.limits import RateKind
from engine.errors import ServiceError

NAMESPACE = "AWS/SES"
METRICS: Mapping[RateKind, str] = {
    RateKind.BOUNCE: "Reputation.BounceRate",
    RateKind.COMPLAINT: "Reputation.ComplaintRate",
}
HOUR = 3600
MOST_SETS = 100
MOST_PAGES = 20  # of one answer
QUERIES_AT_ONCE = 50  # metrics of one call: 60 days by hour stay below its 100,800 data points
AHEAD = timedelta(hours=1)  # a point later than that is not a time of this world


class RatePoint(Struct, frozen=True):
    """A rate, 0 to 1, at a time."""

    at: datetime
    value: float


class RateSeries(Struct, frozen=True):
    """One rate over time.

    Attributes:
        kind: which rate.
        configuration_set: of its mail alone; None for the account.
        points: in order of time; SES publishes none while it has nothing to say.
    """

    kind: RateKind
    configuration_set: str | None
    points: tuple[RatePoint, ...]

    @property
    def latest(self) -> RatePoint | None:
        """The last known rate."""
        return self.points[-1] if self.points else None

    def by_day(self, until: date, days: int) -> list[float | None]:
        """Return the highest rate of each day, None where it is unknown; the last day comes last."""
        highest: dict[date, float] = {}
        for point in self.points:
            day = point.at.date()
            highest[day] = max(point.value, highest.get(day, 0.0))
        return [highest.get(until - timedelta(days=back)) for back in range(days - 1, -1, -1)]


Scope = tuple[RateKind, Mapping[str, str]]  # a rate, and the dimensions of its metric


async def list_sets(client: Any) -> list[Mapping[str, str]]:
    """List the dimensions of the configuration sets that have a bounce rate of their own, at most MOST_SETS.

    Args:
        client: of CloudWatch, of `engine.account.services`.

    Raises:
        ServiceError: CloudWatch cannot be reached, or refuses.
    """
    found: list[Mapping[str, str]] = []
    token: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        page = await client.list_metrics(Namespace=NAMESPACE, MetricName=METRICS[RateKind.BOUNCE], **token)
        found += _read_dimensions(page)
        if not page.get("NextToken") or len(found) >= MOST_SETS:
            break
        token = {"NextToken": page["NextToken"]}
    return found[:MOST_SETS]


def _read_dimensions(page: Mapping[str, Any]) -> Iterable[Mapping[str, str]]:
    for metric in page.get("Metrics") or ():
        named = {str(one.get("Name")): str(one.get("Value")) for one in metric.get("Dimensions") or ()}
        if len(named) == 1 and "configuration-set" in next(iter(named)).lower():
            yield named


async def read_rates(
    client: Any, sets: Sequence[Mapping[str, str]], *, now: datetime, days: float
) -> tuple[RateSeries, ...]:
    """Read both rates of the account and of configuration sets, by hour.

    Args:
        client: of CloudWatch, of `engine.account.services`.
        sets: dimensions of `list_sets`.
        now: the time.
        days: how far back.

    Raises:
        ServiceError: CloudWatch cannot be reached, or refuses.
    """
    scopes: list[Scope] = [(kind, dimensions) for dimensions in ({}, *sets) for kind in RateKind]
    series: list[RateSeries] = []
    for start in range(0, len(scopes), QUERIES_AT_ONCE):
        part = scopes[start : start + QUERIES_AT_ONCE]
        found = await _read_values(client, make_queries(part), now=now, days=days)
        series += [
            RateSeries(kind, next(iter(dimensions.values()), None), read_points(found.get(f"m{number}", ()), now))
            for number, (kind, dimensions) in enumerate(part)
        ]
    return tuple(series)


def make_queries(scopes: Sequence[Scope]) -> list[dict[str, Any]]:
    """Make the queries of one GetMetricData call; the id of a query is `m` and the scope's place."""
    return [
        {
            "Id": f"m{number}",
            "MetricStat": {
                "Metric": {
                    "Namespace": NAMESPACE,
                    "MetricName": METRICS[kind],
                    "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
                },
                "Period": HOUR,
                "Stat": "Average",
            },
        }
        for number, (kind, dimensions) in enumerate(scopes)
    ]


async def _read_values(
    client: Any, queries: list[dict[str, Any]], *, now: datetime, days: float
) -> dict[str, list[tuple[Any, Any]]]:
    """Read the values of queries; a result may be spread over pages."""
    window = {"StartTime": now - timedelta(days=days), "EndTime": now + timedelta(minutes=1)}
    found: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
    token: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        page = await client.get_metric_data(MetricDataQueries=queries, **window, **token)
        for result in page.get("MetricDataResults") or ():
            _refuse_failure(result)
            values = zip(result.get("Timestamps") or (), result.get("Values") or (), strict=False)
            found[str(result.get("Id"))] += values
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    return found


def _refuse_failure(result: Mapping[str, Any]) -> None:
    status = result.get("StatusCode")
    if status in ("Forbidden", "InternalError"):
        raise ServiceError(
            f"CloudWatch has no values for {result.get('Label') or 'a metric'}: {status}",
            where="GetMetricData",
            remedy="allow cloudwatch:GetMetricData for your user or role, or try again later",
        )


def read_points(values: Iterable[tuple[Any, Any]], now: datetime) -> tuple[RatePoint, ...]:
    """Read time and rate of each data point, in any order; leave out what cannot be one.

    Args:
        values: pairs of a time and a number.
        now: the time; a point that is much later is left out.
    """
    found = {}
    for at, value in values:
        if not isinstance(at, datetime) or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        moment = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
        if math.isfinite(value) and 0.0 <= value <= 1.0 and moment <= now + AHEAD:
            found[moment] = float(value)
    return tuple(RatePoint(at, found[at]) for at in sorted(found))
