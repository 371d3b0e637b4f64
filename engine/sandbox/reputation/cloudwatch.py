"""The operations of CloudWatch that show SES's metrics, in its JSON protocol.

Source: CloudWatch API reference; AWS JSON protocol 1.0, which botocore chooses among those that CloudWatch speaks.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from engine.sandbox.http.replies import ApiError, SandboxReply, result
from engine.sandbox.reputation.account_reputation import SandboxReputation
from engine.sandbox.ses.members import items, optional, required

TARGET = "GraniteServiceVersion20100801."
SIGNED_FOR = "monitoring"
NAMESPACE = "AWS/SES"
DIMENSION = "ses:configuration-set"
MOST_QUERIES = 500
_RATES = {"Reputation.BounceRate": "BOUNCE", "Reputation.ComplaintRate": "COMPLAINT"}
_COUNTS = {"Send": "SEND", "Delivery": "DELIVERY", "Bounce": "PERMANENT_BOUNCE", "Complaint": "COMPLAINT"}


class SandboxCloudWatch:
    """Answers the calls of CloudWatch clients.

    Args:
        find: region -> what its metrics are computed from.
    """

    def __init__(self, find: Callable[[str], SandboxReputation]) -> None:
        self._find = find
        self._operations: dict[str, Callable[[SandboxReputation, dict[str, Any]], dict[str, Any]]] = {
            "GetMetricData": self._get_data,
            "ListMetrics": self._list,
        }

    @property
    def operations(self) -> tuple[str, ...]:
        """The names of all operations."""
        return tuple(self._operations)

    def answer(self, operation: str, body: bytes, region: str) -> SandboxReply:
        """Answer one call.

        Args:
            operation: its name.
            body: the JSON document.
            region: what the call is signed for.
        """
        try:
            request = orjson.loads(body)
            if not isinstance(request, dict) or operation not in self._operations:
                return cloudwatch_error(
                    ApiError("UnknownOperationException", f"{operation} is not an operation of this server.")
                )
            return result(self._operations[operation](self._find(region), request))
        except orjson.JSONDecodeError:
            return cloudwatch_error(ApiError("SerializationException", "The request is not JSON."))
        except ApiError as error:
            return cloudwatch_error(error)

    def _get_data(self, reputation: SandboxReputation, request: dict[str, Any]) -> dict[str, Any]:
        queries = items(request, "MetricDataQueries", dict)
        if not 1 <= len(queries) <= MOST_QUERIES:
            raise _invalid(f"MetricDataQueries must have 1 to {MOST_QUERIES} members.")
        start, end = (_seconds(request, name) for name in ("StartTime", "EndTime"))
        if start >= end:
            raise _invalid("The parameter StartTime must be less than the parameter EndTime.")
        results = []
        for query in queries:
            found = {at: value for at, value in _read(reputation, query).items() if start <= at < end}
            order = sorted(found, reverse=request.get("ScanBy") != "TimestampAscending")
            results.append(
                {
                    "Id": required(query, "Id", str),
                    "Label": _metric_of(query)["MetricName"],
                    "Timestamps": order,
                    "Values": [found[at] for at in order],
                    "StatusCode": "Complete",
                }
            )
        return {"MetricDataResults": results, "Messages": []}

    def _list(self, reputation: SandboxReputation, request: dict[str, Any]) -> dict[str, Any]:
        if optional(request, "Namespace", str) not in (None, NAMESPACE):
            return {"Metrics": []}
        wanted = optional(request, "MetricName", str)
        plain = [_document(name) for name in (*_RATES, *_COUNTS)]
        of_sets = [_document(name, one) for name in _RATES for one in reputation.list_sets()]
        return {"Metrics": [one for one in (*plain, *of_sets) if wanted in (None, one["MetricName"])]}


def _read(reputation: SandboxReputation, query: dict[str, Any]) -> Mapping[int, float]:
    metric, stat = _metric_of(query), required(query, "MetricStat", dict)
    seconds = required(stat, "Period", int)
    if seconds < 60 or seconds % 60:
        raise _invalid("Period must be a multiple of 60.")
    name = metric["MetricName"]
    chosen = {one.get("Name"): one.get("Value") for one in items(metric, "Dimensions", dict)}
    if metric.get("Namespace") != NAMESPACE or set(chosen) - {DIMENSION}:
        return {}
    if name in _RATES:
        if chosen and chosen[DIMENSION] not in reputation.list_sets():
            return {}
        return reputation.rates(_RATES[name], seconds=seconds, configuration_set=chosen.get(DIMENSION))
    if name in _COUNTS and not chosen:
        return {at: float(n) for at, n in reputation.count(_COUNTS[name], seconds=seconds).items()}
    return {}


def cloudwatch_error(error: ApiError) -> SandboxReply:
    """Return an error as CloudWatch words it."""
    code = "ValidationError" if error.code == "BadRequestException" else error.code
    body = {"__type": f"com.amazonaws.cloudwatch#{code}", "message": error.message}
    return SandboxReply(error.status, orjson.dumps(body), code, query_error=f"{code};Sender")


def _document(name: str, configuration_set: str | None = None) -> dict[str, Any]:
    dimensions = [] if configuration_set is None else [{"Name": DIMENSION, "Value": configuration_set}]
    return {"Namespace": NAMESPACE, "MetricName": name, "Dimensions": dimensions}


def _metric_of(query: dict[str, Any]) -> dict[str, Any]:
    stat = optional(query, "MetricStat", dict)
    if stat is None:
        raise _invalid("The sandbox reads metrics (MetricStat) and no expressions.")
    metric: dict[str, Any] = required(stat, "Metric", dict)
    required(metric, "MetricName", str)
    return metric


def _seconds(request: dict[str, Any], member: str) -> float:
    value = request.get(member)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _invalid(f"{member} must be a time.")
    return float(value)


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationError", message)
