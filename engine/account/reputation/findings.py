"""SES's recommendations, the reputation entities of the account, and the growth of its suppression list."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

MOST_PAGES = 10  # of a list: SES answers one a second
PAGE_SIZE = 1000
SMALL_PAGE = 100
MOST_TEXT = 500  # characters of one text


class Recommendation(Struct, frozen=True):
    """A recommendation of SES.

    Attributes:
        kind: DKIM, DMARC, SPF, BIMI, COMPLAINT, BOUNCE, FEEDBACK_3P or IP_LISTING.
        impact: HIGH or LOW.
        resource: the ARN that it concerns.
        text: SES's own.
        since: when SES made it; None where it does not say.
    """

    kind: str
    impact: str
    resource: str
    text: str
    since: datetime | None


class ReputationEntity(Struct, frozen=True):
    """A resource whose reputation SES tracks, such as a tenant.

    Attributes:
        resource: its ARN.
        sending: ENABLED, REINSTATED or DISABLED.
        impact: of its worst finding: HIGH or LOW; empty for none.
        cause: why SES changed its state; empty where it did not.
    """

    resource: str
    sending: str
    impact: str
    cause: str


class SuppressionGrowth(Struct, frozen=True):
    """Addresses that were added to the account's suppression list, or changed in it.

    Attributes:
        by_reason: BOUNCE or COMPLAINT to addresses.
        by_day: day, as YYYY-MM-DD, to addresses.
        is_cut: there are more than were read.
    """

    by_reason: Mapping[str, int]
    by_day: Mapping[str, int]
    is_cut: bool


async def list_recommendations(client: Any) -> tuple[Recommendation, ...]:
    """List the open recommendations, those of high impact first.

    Raises:
        ServiceError: SES cannot be reached, or refuses.
    """
    pages, _ = await _read_pages(client.list_recommendations, "Recommendations", SMALL_PAGE, Filter={"STATUS": "OPEN"})
    found = [
        Recommendation(
            kind=_text(one, "Type"),
            impact=_text(one, "Impact"),
            resource=_text(one, "ResourceArn"),
            text=_text(one, "Description"),
            since=at if isinstance(at := one.get("CreatedTimestamp"), datetime) else None,
        )
        for one in pages
    ]
    return tuple(sorted(found, key=lambda one: (one.impact != "HIGH", one.kind, one.resource)))


async def list_entities(client: Any) -> tuple[ReputationEntity, ...]:
    """List the reputation entities: those with an impact first.

    Raises:
        ServiceError: SES cannot be reached, or refuses.
    """
    pages, _ = await _read_pages(client.list_reputation_entities, "ReputationEntities", SMALL_PAGE)
    found = [
        ReputationEntity(
            resource=_text(one, "ReputationEntityReference"),
            sending=_text(one, "SendingStatusAggregate"),
            impact=_text(one, "ReputationImpact"),
            cause=_text(one.get("AwsSesManagedStatus") or {}, "Cause"),
        )
        for one in pages
    ]
    return tuple(sorted(found, key=lambda one: (one.impact != "HIGH", one.impact != "LOW", one.resource)))


async def read_growth(client: Any, since: datetime) -> SuppressionGrowth:
    """Count the addresses that were added to the suppression list since a time, at most MOST_PAGES pages of them.

    Raises:
        ServiceError: SES cannot be reached, or refuses.
    """
    entries, is_cut = await _read_pages(
        client.list_suppressed_destinations, "SuppressedDestinationSummaries", PAGE_SIZE, StartDate=since
    )
    days = Counter(
        at.astimezone(UTC).date().isoformat()
        for one in entries
        if isinstance(at := one.get("LastUpdateTime"), datetime)
    )
    return SuppressionGrowth(
        by_reason=dict(sorted(Counter(_text(one, "Reason") for one in entries).items())),
        by_day=dict(sorted(days.items())),
        is_cut=is_cut,
    )


async def _read_pages(call: Any, member: str, size: int, **parameters: Any) -> tuple[list[Mapping[str, Any]], bool]:
    """Read at most MOST_PAGES pages of a list; return the entries, and whether there are more."""
    entries: list[Mapping[str, Any]] = []
    token: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        page = await call(PageSize=size, **parameters, **token)
        entries += page.get(member) or ()
        if not page.get("NextToken"):
            return entries, False
        token = {"NextToken": page["NextToken"]}
    return entries, True


def _text(source: Mapping[str, Any], member: str) -> str:
    return str(source.get(member) or "")[:MOST_TEXT]
