"""The account's reputation: rates, metrics of the Virtual Deliverability Manager (VDM), recommendations, entities.

Sources: SES API v2 reference, and SES developer guide, "Virtual Deliverability Manager" and "Using reputation metrics".
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

from engine.clock import Clock
from engine.sandbox.events.event_records import ACCOUNT_ID, REGION
from engine.sandbox.http.replies import SandboxReply, bad_request, not_found, result
from engine.sandbox.reputation.sending_figures import FigureKey, SendingFigures
from engine.sandbox.ses.account import SandboxAccount
from engine.sandbox.ses.members import items, one_of, optional, required
from engine.sandbox.ses.paging import page_of, read_page_request
from engine.sandbox.ses.sending import parse_request

DAY = 86_400
MOST_QUERIES = 10
MOST_DAYS = 60
VDM_METRICS = (
    "SEND", "COMPLAINT", "PERMANENT_BOUNCE", "TRANSIENT_BOUNCE", "OPEN", "CLICK", "DELIVERY", "DELIVERY_OPEN",
    "DELIVERY_CLICK", "DELIVERY_COMPLAINT",
)  # fmt: skip
_NO_TENANT = "TENANT_NAME"
_DIMENSIONS = {"ISP": "isp", "EMAIL_IDENTITY": "identity", "CONFIGURATION_SET": "configuration_set"}
_RESOURCE = "RESOURCE"
REVIEW = {"BOUNCE": 0.05, "COMPLAINT": 0.001}  # the rates at which SES reviews an account
PAUSE = {"BOUNCE": 0.1, "COMPLAINT": 0.005}
RATES = ("BOUNCE", "COMPLAINT")
_COUNTED = {"BOUNCE": "PERMANENT_BOUNCE", "COMPLAINT": "COMPLAINT"}

Query = dict[str, list[str]]


class SandboxReputation:
    """Computes the reputation from what the sandbox accepted, bounced and delivered.

    Args:
        account: whose reputation.
        figures: what happened to its mail.
        clock: time.
    """

    def __init__(self, account: SandboxAccount, figures: SendingFigures, clock: Clock) -> None:
        self._account = account
        self._figures = figures
        self._clock = clock

    def of(self, account: SandboxAccount) -> "SandboxReputation":
        """Return the reputation of another region's account; the mail of all regions counts together."""
        return SandboxReputation(account, self._figures, self._clock)

    @property
    def operations(self) -> dict[tuple[str, str], Callable[[str, Query, bytes], SandboxReply]]:
        """Method and path to operation, for `Api`."""
        entities = "/v2/email/reputation/entities"
        return {
            ("PUT", "/v2/email/account/vdm"): self._put_vdm,
            ("POST", "/v2/email/metrics/batch"): self._get_metrics,
            ("POST", "/v2/email/vdm/recommendations"): self._list_recommendations,
            ("POST", entities): self._list_entities,
            ("GET", entities + "/*/*"): self._get_entity,
        }

    def rates(self, rate: str, *, seconds: int, configuration_set: str | None = None) -> dict[int, float]:
        """Return a rate at the end of each period in which mail was sent, over all mail until then.

        Args:
            rate: BOUNCE or COMPLAINT.
            seconds: length of a period.
            configuration_set: of its mail alone; None for the account.

        Returns:
            Start of the period in seconds since 1970, in order, to the rate, 0 to 1.
        """
        now = int(self._clock.now().timestamp())
        fixed = self._account.fixed_rates
        if configuration_set is None and rate in fixed:
            return {now // seconds * seconds: fixed[rate]}
        self._figures.refresh()
        matches = _is_of(configuration_set)
        sent = self._figures.count("SEND", matches, seconds=seconds)
        bad = self._figures.count(_COUNTED[rate], matches, seconds=seconds)
        periods = sorted({*sent, *bad})
        all_sent = accumulate(sent.get(start, 0) for start in periods)
        all_bad = accumulate(bad.get(start, 0) for start in periods)
        return {s: min(1.0, b / n) for s, n, b in zip(periods, all_sent, all_bad, strict=True) if n}

    def count(self, metric: str, *, seconds: int) -> dict[int, int]:
        """Count the recipients of a metric of VDM by period, as `SendingFigures.count`."""
        self._figures.refresh()
        return self._figures.count(metric, seconds=seconds)

    def list_sets(self) -> list[str]:
        """Return the configuration sets whose reputation metrics are published."""
        sets = self._account.configuration_sets
        options = {name: sets.get(name).get("ReputationOptions") or {} for name in sets.names()}
        return [name for name, chosen in options.items() if chosen.get("ReputationMetricsEnabled")]

    def _put_vdm(self, _: str, __: Query, body: bytes) -> SandboxReply:
        attributes = required(parse_request(body), "VdmAttributes", dict)
        state = one_of(attributes, "VdmEnabled", ("ENABLED", "DISABLED"), path="VdmAttributes.")
        self._account.vdm_enabled = state == "ENABLED"
        return result({})

    def _get_metrics(self, _: str, __: Query, body: bytes) -> SandboxReply:
        queries = items(parse_request(body), "Queries", dict)
        if not 1 <= len(queries) <= MOST_QUERIES:
            raise bad_request(f"Queries must have 1 to {MOST_QUERIES} members.")
        if not self._account.vdm_enabled:
            raise bad_request("Virtual Deliverability Manager is not enabled for this account.")
        if len({required(query, "Id", str) for query in queries}) < len(queries):
            raise bad_request("Each query must have an Id of its own.")
        self._figures.refresh()
        return result({"Results": [self._answer_query(query) for query in queries], "Errors": []})

    def _answer_query(self, query: dict[str, Any]) -> dict[str, Any]:
        if one_of(query, "Namespace", ("VDM",)) is None or one_of(query, "Metric", VDM_METRICS) is None:
            raise bad_request("Namespace and Metric must not be null.")
        start, end = _moment_of(query, "StartDate"), _moment_of(query, "EndDate")
        if not start <= end <= start + timedelta(days=MOST_DAYS):
            raise bad_request(f"EndDate must be 0 to {MOST_DAYS} days after StartDate.")
        given: dict[str, str] = optional(query, "Dimensions", dict) or {}
        unknown = set(given) - {*_DIMENSIONS, _NO_TENANT}
        if unknown:
            raise bad_request(f"Dimensions must be of {', '.join([*_DIMENSIONS, _NO_TENANT])}.")
        metric = str(query["Metric"])
        counted = metric if metric == "DELIVERY" or not metric.startswith("DELIVERY_") else "DELIVERY"
        days = self._figures.count(counted, _matches(given), seconds=DAY)
        shown = {day: number for day, number in days.items() if start.timestamp() - DAY < day <= end.timestamp()}
        return {"Id": query["Id"], "Timestamps": list(shown), "Values": list(shown.values())}

    def _list_recommendations(self, _: str, query: Query, body: bytes) -> SandboxReply:
        request = parse_request(body)
        wanted: dict[str, str] = optional(request, "Filter", dict) or {}
        names = {"TYPE": "Type", "IMPACT": "Impact", "STATUS": "Status", "RESOURCE_ARN": "ResourceArn"}
        found = [
            one
            for one in map(self._make_recommendation, RATES)
            if one is not None and all(one[names[key]] == value for key, value in wanted.items() if key in names)
        ]
        page, more = page_of(found, key=lambda one: str(one["Type"]), request=read_page_request(query, request))
        return result({"Recommendations": page, **more})

    def _make_recommendation(self, kind: str) -> dict[str, Any] | None:
        rate = _last(self.rates(kind, seconds=DAY))
        if rate < REVIEW[kind]:
            return None
        now = self._clock.now().timestamp()
        return {
            "ResourceArn": f"arn:aws:ses:{REGION}:{ACCOUNT_ID}:identity/*",
            "Type": kind,
            "Description": f"The {kind.lower()} rate of the account is {rate:.2%}.",
            "Status": "OPEN",
            "CreatedTimestamp": now,
            "LastUpdatedTimestamp": now,
            "Impact": "HIGH" if rate >= PAUSE[kind] else "LOW",
        }

    def _list_entities(self, _: str, query: Query, body: bytes) -> SandboxReply:
        request = parse_request(body)
        wanted: dict[str, str] = optional(request, "Filter", dict) or {}
        names = {
            "ENTITY_TYPE": "ReputationEntityType",
            "REPUTATION_IMPACT": "ReputationImpact",
            "SENDING_STATUS": "SendingStatusAggregate",
        }
        prefix = wanted.get("ENTITY_REFERENCE_PREFIX", "")
        found = [
            one
            for one in map(self._make_entity, self._account.configuration_sets.names())
            if one["ReputationEntityReference"].startswith(prefix)
            and all(one.get(names[key]) == value for key, value in wanted.items() if key in names)
        ]
        request_of_page = read_page_request(query, request)
        page, more = page_of(found, key=lambda one: str(one["ReputationEntityReference"]), request=request_of_page)
        return result({"ReputationEntities": page, **more})

    def _get_entity(self, names: str, _: Query, __: bytes) -> SandboxReply:
        kind, ___, reference = names.partition("/")
        name = reference.rpartition("/")[2]
        if kind != _RESOURCE or name not in self._account.configuration_sets.names():
            raise not_found(f"Reputation entity <{reference}> does not exist.")
        return result({"ReputationEntity": self._make_entity(name)})

    def _make_entity(self, name: str) -> dict[str, Any]:
        enabled = self._account.configuration_sets.get(name)["SendingOptions"]["SendingEnabled"]
        status = "ENABLED" if enabled else "DISABLED"
        rates = {rate: _last(self.rates(rate, seconds=DAY, configuration_set=name)) for rate in RATES}
        entity = {
            "ReputationEntityReference": f"arn:aws:ses:{REGION}:{ACCOUNT_ID}:configuration-set/{name}",
            "ReputationEntityType": _RESOURCE,
            "CustomerManagedStatus": {"Status": status},
            "AwsSesManagedStatus": {"Status": "ENABLED"},
            "SendingStatusAggregate": status,
        }
        if any(rate >= PAUSE[kind] for kind, rate in rates.items()):
            entity["ReputationImpact"] = "HIGH"
        elif any(rate >= REVIEW[kind] for kind, rate in rates.items()):
            entity["ReputationImpact"] = "LOW"
        return entity


def _is_of(configuration_set: str | None) -> Callable[[FigureKey], bool]:
    return lambda key: configuration_set is None or key.configuration_set == configuration_set


def _matches(dimensions: Mapping[str, str]) -> Callable[[FigureKey], bool]:
    """Return which figures VDM counts: of messages to one recipient; the sandbox has no tenants."""
    if _NO_TENANT in dimensions:
        return lambda _: False
    return lambda key: key.alone and all(getattr(key, _DIMENSIONS[name]) == value for name, value in dimensions.items())


def _last(rates: Mapping[int, float]) -> float:
    return next(reversed(list(rates.values())), 0.0)


def _moment_of(query: dict[str, Any], member: str) -> datetime:
    value = query.get(member)
    try:
        return datetime.fromtimestamp(float(value), UTC) if isinstance(value, int | float) else _parse(value)
    except (ValueError, OverflowError, OSError):
        raise bad_request(f"{member} is not a date.") from None


def _parse(value: Any) -> datetime:
    moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
