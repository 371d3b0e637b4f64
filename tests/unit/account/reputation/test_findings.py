"""Recommendations, reputation entities and the suppression list, in bounded pages."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from engine.account.reputation.findings import MOST_PAGES, MOST_TEXT, list_entities, list_recommendations, read_growth

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class CannedSes:
    """Answers each call with the next page; with the last one again where there are no more."""

    def __init__(self, *pages: Mapping[str, Any]) -> None:
        self._pages = list(pages)
        self.calls: list[dict[str, Any]] = []

    async def list_recommendations(self, **parameters: Any) -> Mapping[str, Any]:
        self.calls.append(parameters)
        return self._pages.pop(0) if len(self._pages) > 1 else self._pages[0]

    list_reputation_entities = list_suppressed_destinations = list_recommendations


async def test_recommendations_of_high_impact_come_first() -> None:
    low = {"Type": "DKIM", "Impact": "LOW", "ResourceArn": "a", "Description": "d" * 10_000}
    high = {"Type": "SPF", "Impact": "HIGH", "CreatedTimestamp": NOW}
    client = CannedSes({"Recommendations": [low, {}], "NextToken": "t"}, {"Recommendations": [high]})
    found = await list_recommendations(client)
    assert [one.kind for one in found] == ["SPF", "", "DKIM"]
    assert (found[0].since, len(found[2].text)) == (NOW, MOST_TEXT)
    assert client.calls[1]["NextToken"] == "t"


async def test_entities_with_an_impact_come_first() -> None:
    entity = {"ReputationEntityReference": "arn:a", "SendingStatusAggregate": "ENABLED"}
    bad = {
        "ReputationEntityReference": "arn:z",
        "SendingStatusAggregate": "DISABLED",
        "ReputationImpact": "HIGH",
        "AwsSesManagedStatus": {"Status": "DISABLED", "Cause": "Bounces"},
    }
    found = await list_entities(CannedSes({"ReputationEntities": [entity, bad]}))
    assert [(one.resource, one.impact, one.cause) for one in found] == [("arn:z", "HIGH", "Bounces"), ("arn:a", "", "")]


async def test_growth_is_counted_by_reason_and_day_and_says_when_it_is_cut() -> None:
    entries = [
        {"Reason": "BOUNCE", "LastUpdateTime": NOW},
        {"Reason": "BOUNCE", "LastUpdateTime": NOW.replace(day=23)},
        {"Reason": "COMPLAINT"},
    ]
    grown = await read_growth(CannedSes({"SuppressedDestinationSummaries": entries}), NOW)
    assert grown.by_reason == {"BOUNCE": 2, "COMPLAINT": 1}
    assert grown.by_day == {"2026-11-23": 1, "2026-11-24": 1}
    assert not grown.is_cut
    endless = CannedSes({"SuppressedDestinationSummaries": entries, "NextToken": "t"})
    assert (await read_growth(endless, NOW)).is_cut
    assert len(endless.calls) == MOST_PAGES
