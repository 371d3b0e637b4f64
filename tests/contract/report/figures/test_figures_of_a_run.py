"""The figures of a run are those of the ledger and of the files, whatever its events are and however they arrive."""

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from support.clock import VirtualClock
from support.plain_figures import check_against_files, read_plan
from support.sent_runs import PEOPLE, SENT_AT, add_events, add_run, make_event_of_row, open_new_workspace
from support.soak import choose

from engine.ledger import runs
from engine.ledger.decisions import Decision, record_decision
from engine.ledger.journal import Outcome, Result
from engine.ledger.suppressed.opt_outs import OptOut, OptOutMethod, record_opt_outs
from engine.report.figures.counting import count_figures
from engine.report.figures.document import Figures, Unsubscribes
from engine.workspace import Workspace

RUN, EARLIER = "news/2", "news/1"
ROWS = PEOPLE + "nobody\nperson3@x.example\n,\n" + "".join(f"other{number}@y.example\n" for number in range(8))
APPLE = {"userAgent": "Mozilla/5.0"}


def address(row: int) -> str:
    return f"person{row - 1}@x.example" if row <= 30 else f"other{row - 34}@y.example"


def event(kind: str, row: int, **details: Any) -> dict[str, Any]:
    return make_event_of_row(kind, RUN, row, address(row), **details)


def bounce(row: int, status: str, text: str, subtype: str = "General", kind: str = "Permanent") -> dict[str, Any]:
    to = [{"emailAddress": address(row), "status": status, "diagnosticCode": text}]
    return event("Bounce", row, bounceType=kind, bounceSubType=subtype, bouncedRecipients=to)


def make_events() -> list[dict[str, Any]]:
    """Events of every kind and of several for one recipient."""
    unknown = [
        bounce(row, "5.1.1", f"smtp; 550 5.1.1 <{address(row)}>: no such user (id q{row}77712a)") for row in (2, 4, 34)
    ]
    full = [
        bounce(row, "4.2.2", f"smtp; 452 4.2.2 over quota {row}99 bytes", "MailboxFull", "Transient") for row in (4, 5)
    ]
    click = {"link": "https://acme.example/?u=7", "linkTags": {"mailrun-link": ["2"]}}
    return [
        *(event("Send", row) for row in range(1, 31)),
        *(event("Delivery", row) for row in range(6, 31)),
        *unknown, *full,
        bounce(6, "5.7.1", "smtp; 554 5.7.1 spam", "OnAccountSuppressionList"),
        event("Complaint", 7), event("Complaint", 8, complaintFeedbackType="not-spam"),
        event("DeliveryDelay", 9), event("Reject", 10),
        event("Open", 11), event("Open", 11, **APPLE), event("Open", 12, **APPLE),
        event("Open", 12, timestamp="2026-11-24T10:00:00.000Z", **APPLE),
        event("Open", 13, userAgent="curl/8.0"),
        event("Click", 11, **click), event("Click", 11, timestamp="2026-11-24T10:00:01.000Z", **click),
        event("Click", 14, **click | {"userAgent": "Proofpoint"}), event("Click", 15, link="https://a.example/x"),
        event("Subscription", 16), event("Subscription", 17),
    ]  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_new_workspace(tmp_path / "workspace") as opened:
        lost = {
            address(1): Result(0, Outcome.REFUSED, None, "Rejected: person0@x.example", SENT_AT.timestamp(), 1),
            address(20): Result(0, Outcome.FAILED, None, 'price is "a"', SENT_AT.timestamp() + 3700, 1),
            address(21): Result(0, Outcome.FAILED, None, 'price is "b"', SENT_AT.timestamp() + 3700, 1),
            address(3): Result(0, Outcome.IN_DOUBT, None, "no answer", SENT_AT.timestamp(), 1),
        }  # fmt: skip
        add_run(opened, EARLIER, at=SENT_AT - timedelta(days=1))
        add_run(opened, RUN, ROWS, outcomes=lost)
        yield opened


def count(workspace: Workspace, run: str = RUN, **more: Any) -> Figures:
    return replace(count_figures(workspace.ledger, workspace.store, VirtualClock(), run, **more), took_seconds=0.0)


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_every_figure_is_that_of_the_files(workspace: Workspace, at_once: int) -> None:
    add_events(workspace, make_events())
    planned = read_plan(workspace.store.local_folder, RUN, "recipients")["row"].to_list()
    ways = {16: OptOutMethod.MAILTO, 18: OptOutMethod.PAGE, 19: OptOutMethod.ONE_CLICK}  # 16 with SES's link as well
    with workspace.ledger.write() as tx:
        record_opt_outs(tx, [OptOut(RUN, 0, planned.index(row), SENT_AT, way) for row, way in ways.items()])
    figures = count(workspace, at_once=at_once)
    assert figures.unsubscribes == Unsubscribes(total=4, ses=1, one_click=1, page=1, mailto=1)
    check_against_files(figures, workspace.store.local_folder, opt_outs=2)
    assert [(one.kind, one.code, one.text, one.recipients) for one in figures.bounces] == [
        ("hard", "5.1.1", "<…>: no such user (id …)", 3),
        ("soft", "4.2.2", "over quota … bytes", 2),
    ]
    assert figures.bounces[0].receivers == {"x.example": 2, "y.example": 1}
    assert figures.opens.machines == {"Apple Mail Privacy Protection": 1, "crawler or script": 1}
    assert [(link.position, link.url, link.recipients, link.clicks, link.machine_clicks) for link in figures.links] == [
        (2, "https://acme.example/…", 1, 2, 1),
        (None, "https://a.example/…", 1, 1, 0),
    ]


def test_outcomes_and_exclusions_have_causes_and_masked_examples(workspace: Workspace) -> None:
    figures = count(workspace)
    causes = {one.outcome: [(cause.name, cause.rows) for cause in one.reasons] for one in figures.outcomes}
    assert causes == {
        "sent": [], "refused": [("Rejected: …", 1)], "failed": [('price is "…"', 2)],
        "in_doubt": [("no answer", 1)], "unsent": [],
    }  # fmt: skip
    refused = next(one for one in figures.outcomes if one.outcome == "refused")
    assert refused.reasons[0].examples == ["p***@x.example, news-2.csv line 2"]
    named = {cause.name: cause for cause in figures.exclusions}
    assert list(named) == ["malformed_row", "invalid_address", "duplicate"]
    assert named["invalid_address"].examples[0].startswith("n***, news-2.csv line 32: ")
    check_that_nobody_is_named(figures)


def check_that_nobody_is_named(figures: Figures) -> None:
    text = msgspec.json.encode(figures).decode()
    assert not any(f"{name}{number}@" in text for name in ("person", "other") for number in range(40))


@pytest.mark.parametrize("seed", choose(*range(3)))
def test_order_and_copies_of_events_change_nothing(workspace: Workspace, seed: int) -> None:
    events = make_events()
    add_events(workspace, events)
    first = count(workspace)
    dice = random.Random(seed)
    again = dice.choices(events, k=len(events))
    for start in range(0, len(again), 7):
        add_events(workspace, again[start : start + 7])
    assert count(workspace) == first


def test_run_without_events_and_an_unknown_campaign_has_figures(workspace: Workspace) -> None:
    toml = workspace.store.local_folder / "runs" / RUN / "campaign" / "campaign.toml"
    toml.write_text("nonsense", encoding="utf-8")
    figures = count(workspace)
    assert (figures.subject, figures.links, figures.bounces, figures.opens.people) == ("", [], [], 0)
    check_against_files(figures, workspace.store.local_folder)


def test_open_leases_count_from_their_journals(workspace: Workspace) -> None:
    add_run(workspace, "news/3", outcomes={address(1): None}, settled=False, at=SENT_AT + timedelta(hours=2))
    figures = count(workspace, "news/3")
    assert (figures.accounts["sent"], figures.accounts["in_doubt"]) == (29, 1)
    assert sum(figures.time_line.sent) == 29
    assert [(row.recipients, row.sent) for row in figures.tables[0].rows] == [(30, 29)]
    in_doubt = next(one for one in figures.outcomes if one.outcome == "in_doubt")
    assert [(cause.name, cause.rows) for cause in in_doubt.reasons] == [("handed over, no answer yet", 1)]


def test_earlier_runs_and_decisions_are_shown(workspace: Workspace) -> None:
    with workspace.ledger.write() as tx:
        record_decision(tx, Decision(RUN, SENT_AT, "ann@host", "pause", {"reason": "see bo@c.example"}))
        assert runs.find_run(tx, RUN) is not None
    figures = count(workspace)
    assert [(one.run, one.accounts["sent"]) for one in figures.earlier] == [(EARLIER, 30)]
    assert count(workspace, EARLIER).earlier == []
    assert [one.kind for one in figures.moments] == ["paused", "started", "finished"]
    assert any(one.text == "paused by ann@host: see b***@c.example" for one in figures.moments)
