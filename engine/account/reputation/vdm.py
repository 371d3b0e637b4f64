"""Metrics of SES's Virtual Deliverability Manager (VDM), by receiver, identity and configuration set.

Source: SES API v2 reference, BatchGetMetricData: at most 10 queries in a call, 16 calls and 160 queries a second, and a
window of at most 60 days.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from engine.clock import Clock

QUERIES_IN_CALL = 10
CALL_GAP_SECONDS = 1 / 16
MOST_DAYS = 60
MOST_QUERIES = 400  # of one report: about three seconds
MOST_NAMES = 25  # identities, and configuration sets
SENT = "SEND"
# The others are asked only of what has sent something.
OTHERS = ("DELIVERY", "PERMANENT_BOUNCE", "TRANSIENT_BOUNCE", "COMPLAINT", "DELIVERY_COMPLAINT")
# SES publishes no list of its names of receivers; those without mail are left out.
RECEIVERS = ("Gmail", "Yahoo", "Hotmail", "Outlook", "AOL", "iCloud", "Apple", "Comcast", "GMX", "Orange")
TURN_ON = (
    "turn it on: aws sesv2 put-account-vdm-attributes --vdm-attributes VdmEnabled=ENABLED; each message that"
    " you send from then on costs more: see https://aws.amazon.com/ses/pricing/"
)


class VdmGroup(Struct, frozen=True):
    """What figures are of: the account (both empty), a receiver, an identity or a configuration set.

    Attributes:
        dimension: ISP, EMAIL_IDENTITY or CONFIGURATION_SET; empty for the account.
        name: of the receiver, identity or set.
    """

    dimension: str = ""
    name: str = ""


class VdmFigures(Struct, frozen=True):
    """The figures of a group.

    Attributes:
        group: of what.
        counts: name of the metric to the number of messages; a metric that SES could not answer is missing.
    """

    group: VdmGroup
    counts: Mapping[str, int]

    def share(self, bad: str, of: str) -> float | None:
        """Return a rate, 0 to 1; None where a part of it is unknown or nothing was sent."""
        whole = self.counts.get(of, 0)
        return self.counts[bad] / whole if whole and bad in self.counts else None


class VdmReading(Struct, frozen=True):
    """What VDM reports.

    Attributes:
        figures: of each group that has sent something, the account first.
        unanswered: number of queries that SES could not answer.
        left_out: number of groups beyond the budget.
    """

    figures: tuple[VdmFigures, ...]
    unanswered: int
    left_out: int


class VdmQuery(Struct, frozen=True):
    """One query."""

    group: VdmGroup
    metric: str


def list_groups(identities: Sequence[str], sets: Sequence[str]) -> list[VdmGroup]:
    """List the groups of a report: the account, receivers, identities and configuration sets."""
    return [
        VdmGroup(),
        *(VdmGroup("ISP", name) for name in RECEIVERS),
        *(VdmGroup("EMAIL_IDENTITY", name) for name in identities[:MOST_NAMES]),
        *(VdmGroup("CONFIGURATION_SET", name) for name in sets[:MOST_NAMES]),
    ]


async def read_vdm(client: Any, groups: Sequence[VdmGroup], *, now: datetime, days: int, clock: Clock) -> VdmReading:
    """Read the figures of groups over some days.

    Args:
        client: of SES, of `engine.account.services`.
        groups: of `list_groups`.
        now: the time.
        days: 1 to MOST_DAYS.
        clock: for the pace of calls.

    Raises:
        ServiceError: SES cannot be reached, or refuses.
    """
    sends = await _ask(client, [VdmQuery(group, SENT) for group in groups], now=now, days=days, clock=clock)
    active = [group for group in groups if sends.get(VdmQuery(group, SENT))]
    kept = active[: (MOST_QUERIES - len(groups)) // len(OTHERS)]
    wanted = [VdmQuery(group, metric) for group in kept for metric in OTHERS]
    answers = sends | await _ask(client, wanted, now=now, days=days, clock=clock)
    asked = [*(VdmQuery(group, SENT) for group in groups), *wanted]
    figures = tuple(
        VdmFigures(group, {query.metric: n for query, n in answers.items() if query.group == group}) for group in kept
    )
    return VdmReading(figures, sum(query not in answers for query in asked), len(active) - len(kept))


async def _ask(
    client: Any, queries: Sequence[VdmQuery], *, now: datetime, days: int, clock: Clock
) -> dict[VdmQuery, int]:
    """Ask for the sum of each query's values; one that SES could not answer is missing."""
    answers: dict[VdmQuery, int] = {}
    for start in range(0, len(queries), QUERIES_IN_CALL):
        part = queries[start : start + QUERIES_IN_CALL]
        answer = await client.batch_get_metric_data(Queries=make_queries(part, now=now, days=days))
        answers |= read_answers(part, answer)
        await clock.sleep(CALL_GAP_SECONDS)
    return answers


def make_queries(part: Sequence[VdmQuery], *, now: datetime, days: int) -> list[dict[str, Any]]:
    """Make the queries of one call; the id of a query is its place."""
    window = {"StartDate": now - timedelta(days=min(days, MOST_DAYS)), "EndDate": now}
    return [
        {"Id": str(number), "Namespace": "VDM", "Metric": query.metric, **window}
        | ({"Dimensions": {query.group.dimension: query.group.name}} if query.group.dimension else {})
        for number, query in enumerate(part)
    ]


def read_answers(part: Sequence[VdmQuery], answer: Mapping[str, Any]) -> dict[VdmQuery, int]:
    """Read the sums of one call's answer; a query that failed, or is not in it, is missing."""
    failed = {str(error.get("Id")) for error in answer.get("Errors") or ()}
    by_id = {str(number): query for number, query in enumerate(part)}
    return {
        by_id[name]: _add_up(result.get("Values") or ())
        for result in answer.get("Results") or ()
        if (name := str(result.get("Id"))) in by_id and name not in failed
    }


def _add_up(values: Iterable[Any]) -> int:
    return sum(int(value) for value in values if isinstance(value, int | float) and 0 <= value < 1 << 60)
