"""Metrics of VDM: batches, budget and partial answers."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.clock import VirtualClock

from engine.account.reputation.vdm import (
    CALL_GAP_SECONDS,
    MOST_DAYS,
    MOST_QUERIES,
    OTHERS,
    VdmFigures,
    VdmGroup,
    VdmQuery,
    list_groups,
    make_queries,
    read_answers,
    read_vdm,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
GMAIL = VdmGroup("ISP", "Gmail")


class CannedVdm:
    """Answers each query with a function of its metric and dimensions."""

    def __init__(self, answer: Callable[[str, Mapping[str, str]], int | None]) -> None:
        self._answer = answer
        self.calls: list[list[dict[str, Any]]] = []

    async def batch_get_metric_data(self, *, Queries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.calls.append(Queries)
        found = {query["Id"]: self._answer(query["Metric"], query.get("Dimensions", {})) for query in Queries}
        return {
            "Results": [{"Id": n, "Timestamps": [NOW], "Values": [v]} for n, v in found.items() if v is not None],
            "Errors": [{"Id": n, "Code": "INTERNAL_FAILURE"} for n, v in found.items() if v is None],
        }


async def test_read_vdm_asks_the_rest_only_of_what_has_sent() -> None:
    def answer(metric: str, dimensions: Mapping[str, str]) -> int:
        known = {"SEND": 100, "PERMANENT_BOUNCE": 3, "COMPLAINT": 1, "DELIVERY_COMPLAINT": 50, "DELIVERY": 97}
        return known.get(metric, 0) if dimensions in ({}, {"ISP": "Gmail"}) else 0

    client, clock = CannedVdm(answer), VirtualClock()
    groups = list_groups(["acme.example"], ["marketing"])
    reading = await read_vdm(client, groups, now=NOW, days=30, clock=clock)
    assert [one.group for one in reading.figures] == [VdmGroup(), GMAIL]
    assert (reading.unanswered, reading.left_out) == (0, 0)
    assert reading.figures[0].share("PERMANENT_BOUNCE", "SEND") == 0.03
    assert reading.figures[0].share("COMPLAINT", "DELIVERY_COMPLAINT") == 0.02
    asked = sum(map(len, client.calls))
    assert asked == len(groups) + 2 * len(OTHERS)
    assert all(len(call) <= 10 for call in client.calls)
    assert clock.seconds - 1000.0 == pytest.approx(CALL_GAP_SECONDS * len(client.calls))


async def test_read_vdm_keeps_its_budget_and_says_what_it_left_out() -> None:
    client = CannedVdm(lambda *_: 1)
    groups = [VdmGroup("EMAIL_IDENTITY", str(number)) for number in range(100)]
    reading = await read_vdm(client, groups, now=NOW, days=30, clock=VirtualClock())
    assert sum(map(len, client.calls)) <= MOST_QUERIES
    assert (len(reading.figures), reading.left_out) == (60, 40)


async def test_read_vdm_counts_what_ses_could_not_answer() -> None:
    client = CannedVdm(lambda metric, _: None if metric == "COMPLAINT" else 5)
    reading = await read_vdm(client, [VdmGroup()], now=NOW, days=30, clock=VirtualClock())
    assert reading.unanswered == 1
    assert "COMPLAINT" not in reading.figures[0].counts
    assert reading.figures[0].share("COMPLAINT", "DELIVERY_COMPLAINT") is None


def test_read_answers_leaves_out_what_is_invalid() -> None:
    part = [VdmQuery(GMAIL, "SEND"), VdmQuery(GMAIL, "DELIVERY"), VdmQuery(GMAIL, "COMPLAINT")]
    answer = {
        "Results": [
            {"Id": "0", "Values": [5, -3, float("nan"), "7", None, 2.0]},
            {"Id": "1", "Values": None},
            {"Id": "2", "Values": [1]},
            {"Id": "99", "Values": [1]},
            {},
        ],
        "Errors": [{"Id": "2", "Code": "ACCESS_DENIED"}, {}],
    }
    assert read_answers(part, answer) == {part[0]: 7, part[1]: 0}
    assert read_answers(part, {}) == {}


def test_make_queries_keeps_the_window_and_leaves_out_no_dimension() -> None:
    whole, gmail = make_queries([VdmQuery(VdmGroup(), "SEND"), VdmQuery(GMAIL, "SEND")], now=NOW, days=90)
    assert NOW - whole["StartDate"] == timedelta(days=MOST_DAYS)
    assert "Dimensions" not in whole
    assert gmail["Dimensions"] == {"ISP": "Gmail"}
    assert whole["Id"] != gmail["Id"]


def test_a_share_of_nothing_is_unknown() -> None:
    assert VdmFigures(GMAIL, {"SEND": 0, "COMPLAINT": 0}).share("COMPLAINT", "SEND") is None
