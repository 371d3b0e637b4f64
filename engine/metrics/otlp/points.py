"""Samples as OpenTelemetry's metrics data."""

from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from engine.metrics import catalogue
from engine.metrics.catalogue import BOUNDS
from engine.metrics.samples import Distribution, Sample

# UCUM, as OpenTelemetry wants units: https://opentelemetry.io/docs/specs/semconv/general/metrics/#instrument-units
_UNITS: Mapping[str, str] = {"seconds": "s", "Unix time": "s", "recipients a second": "{recipient}/s", "": "1"}
SCOPE = "mailrun"


def make_metrics_data(samples: Iterable[Sample], resource: Resource, *, begun_at: float, at: float) -> MetricsData:
    """Make one export of all samples.

    Args:
        samples: as read now.
        resource: which process they are from.
        begun_at: Unix time at which counters began with 0.
        at: Unix time of the reading.
    """
    times = int(begun_at * 1e9), int(at * 1e9)
    points: dict[catalogue.Metric, list[Any]] = {}
    for sample in samples:
        points.setdefault(sample.metric, []).append(_make_point(sample, times))
    metrics = [_make_metric(metric, some) for metric, some in points.items()]
    scope = ScopeMetrics(InstrumentationScope(SCOPE), metrics, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _make_point(sample: Sample, times: tuple[int, int]) -> NumberDataPoint | HistogramDataPoint:
    labels = dict(zip(sample.metric.labels, sample.labels, strict=True))
    if isinstance(sample.value, Distribution):
        counts = sample.value.counts
        longest = max((bound for bound, count in zip((*BOUNDS, 60.0), counts, strict=True) if count), default=0.0)
        return HistogramDataPoint(
            labels,
            *times,
            count=sum(counts),
            sum=sample.value.total,
            bucket_counts=counts,
            explicit_bounds=BOUNDS,
            min=0.0,
            max=longest,
        )
    return NumberDataPoint(labels, *times, sample.value)


def _make_metric(metric: catalogue.Metric, points: list[Any]) -> Metric:
    data: Sum | Gauge | Histogram
    if metric.kind == "counter":
        data = Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True)
    elif metric.kind == "histogram":
        data = Histogram(points, AggregationTemporality.CUMULATIVE)
    else:
        data = Gauge(points)
    unit = _UNITS.get(metric.unit) or f"{{{metric.unit.removesuffix('s')}}}"
    return Metric(metric.name.removesuffix("_total"), metric.meaning, unit, data)
