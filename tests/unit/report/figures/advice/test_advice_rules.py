"""Every rule of advice on both sides of its limit."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.ledger.event_flags import SHOWN
from engine.report.figures.advice import advice_of_delivery as delivery
from engine.report.figures.advice import advice_of_sending as sending
from engine.report.figures.advice.advice_measures import Because
from engine.report.figures.advice.advice_rules import RULES, advise
from engine.report.figures.document import (
    Breakdown,
    BreakdownRow,
    Cause,
    Diagnosis,
    DmarcFigure,
    Figures,
    Opens,
    OutcomeFigure,
    TimeLine,
    Unsubscribes,
)

START = datetime(2026, 11, 24, 9, tzinfo=UTC)
RUN = "news/2026-11-24"
ACCOUNTS = {
    "rows_read": 1000, "accepted": 1000, "excluded": 0, "sent": 1000, "refused": 0, "failed": 0, "in_doubt": 0,
    "unsent": 0, "in_flight": 0, "workers": 0,
}  # fmt: skip


def make(
    *, accounts: Mapping[str, int] | None = None, feedback: Mapping[str, int] | None = None, **more: Any
) -> Figures:
    """The figures of a run of 1,000 recipients in which everything went well, with changes."""
    known: dict[str, Any] = {
        "run": RUN, "subject": "Hello", "sender": "n@acme.example", "state": "finished", "reason": None,
        "created_at": START, "started_at": START, "finished_at": START, "made_at": START + timedelta(hours=2),
        "took_seconds": 0.1, "is_sandbox": False, "exclusions": (), "outcomes": (),
        "time_line": TimeLine(1, (), (), (), (), ()), "moments": (), "bounces": (), "opens": Opens(0, {}), "links": (),
        "unsubscribes": Unsubscribes(0, 0, 0, 0, 0), "tables": (), "earlier": (), "canary": None, "guard": (),
        "advice": (),
        "accounts": ACCOUNTS | dict(accounts or {}),
        "feedback": dict.fromkeys(SHOWN, 0) | {"delivered": 1000} | dict(feedback or {}),
    }  # fmt: skip
    return Figures(**(known | more))


def bounce(recipients: int, code: str, text: str = "", kind: Any = "hard") -> dict[str, Any]:
    return {"bounces": (Diagnosis(kind, code, text, recipients, {}),)}


def exclude(name: str, rows: int) -> dict[str, Any]:
    return {
        "exclusions": (Cause(name, rows, ()),),
        "accounts": {"rows_read": 1000, "accepted": 1000 - rows, "excluded": rows},
    }


def receivers(bad: int, sent: int = 100, other_bad: int = 9) -> dict[str, Any]:
    rows = (
        BreakdownRow("a.example", sent, sent, {"bounced": bad}),
        BreakdownRow("b.example", 900, 900, {"bounced": other_bad}),
    )
    return {"tables": (Breakdown("receiver", rows),)}


def complain(complained: int, delivered: int) -> dict[str, Any]:
    return {"feedback": {"complained": complained, "delivered": delivered}}


def line(last_hour: int, before: int = 1000, hours: int = 3) -> dict[str, Any]:
    at = [int(START.timestamp()) + 600 * step for step in range(6 * hours)]
    sent = [before // 6] * (6 * (hours - 1)) + [last_hour // 6] * 6
    none = [0] * len(at)
    return {"time_line": TimeLine(600, at, sent, none, none, [None] * len(at))}


def throttle(count: int) -> dict[str, Any]:
    return {"time_line": TimeLine(60, [0], [1000], [0], [count], [None])}


WAITED = {"feedback": {"delivered": 0}}
BOTH_SIDES: tuple[tuple[Because, dict[str, Any], dict[str, Any]], ...] = (
    (sending.is_unbalanced, {"accounts": {"rows_read": 1001}}, {"accounts": {"rows_read": 1001, "excluded": 1}}),
    (
        sending.has_in_doubt,
        {"accounts": {"in_doubt": 2, "in_flight": 1}},
        {"accounts": {"in_doubt": 1, "in_flight": 1}},
    ),
    (sending.is_paused_by_guard, {"state": "paused", "paused_by": "guard"}, {"state": "paused", "paused_by": "a@b"}),
    (sending.is_paused_by_person, {"state": "paused", "paused_by": "a@b"}, {"state": "paused", "paused_by": "guard"}),
    (sending.is_stopped, {"state": "paused", "paused_by": None}, {"state": "paused", "paused_by": "a@b"}),
    (
        sending.is_stopped,
        {"state": "sending", "accounts": {"unsent": 1}},
        {"state": "sending", "accounts": {"unsent": 1, "workers": 1}},
    ),
    (sending.fails_much, {"accounts": {"refused": 25, "failed": 25}}, {"accounts": {"refused": 25, "failed": 24}}),
    (sending.fails_a_little, {"accounts": {"failed": 1}}, {"accounts": {"failed": 50}}),
    (sending.fails_a_little, {"accounts": {"failed": 49}}, {"accounts": {"failed": 0}}),
    (sending.is_throttled, throttle(50), throttle(49)),
    (sending.ends_slowly, line(480), line(504)),
    (sending.ends_slowly, line(0, hours=2), line(0, hours=1)),
    (sending.has_invalid_rows, exclude("invalid_address", 10), exclude("invalid_address", 9)),
    (sending.has_invalid_rows, exclude("malformed_row", 10), exclude("duplicate", 10)),
    (sending.has_missing_data, exclude("missing_data", 10), exclude("missing_data", 9)),
    (delivery.has_no_events, WAITED, WAITED | {"made_at": START + timedelta(minutes=59)}),
    (delivery.has_no_events, WAITED, {"feedback": {"delivered": 0, "complained": 1}}),
    (delivery.has_no_events, WAITED, WAITED | {"transport": "smtp"}),
    (delivery.bounces_like_a_paused_account, {"feedback": {"bounced": 100}}, {"feedback": {"bounced": 99}}),
    (delivery.bounces_like_a_reviewed_account, {"feedback": {"bounced": 50}}, {"feedback": {"bounced": 49}}),
    (delivery.bounces_like_a_reviewed_account, {"feedback": {"bounced": 99}}, {"feedback": {"bounced": 100}}),
    (delivery.bounces_noticeably, {"feedback": {"bounced": 20}}, {"feedback": {"bounced": 19}}),
    (delivery.bounces_noticeably, {"feedback": {"bounced": 49}}, {"feedback": {"bounced": 50}}),
    (delivery.is_complained_of_much, complain(12, 4000), complain(11, 4000)),
    (delivery.is_complained_of_much, complain(4, 1000), complain(3, 1000)),  # three may be chance
    (delivery.is_complained_of, complain(9, 4000), complain(8, 4000)),  # eight may be chance
    (delivery.is_complained_of, complain(11, 4000), complain(12, 4000)),
    (delivery.is_complained_of, complain(120, 100_000), complain(100, 100_000)),
    (delivery.is_maybe_complained_of, complain(8, 4000), complain(9, 4000)),
    (delivery.is_maybe_complained_of, complain(2, 2000), complain(2, 2001)),
    (delivery.is_maybe_complained_of, complain(2, 1000), complain(1, 1000)),
    (delivery.is_unauthenticated, bounce(1, "5.7.26"), bounce(1, "5.7.1")),
    (delivery.is_unauthenticated, bounce(1, "5.7.1", "fails DMARC policy"), bounce(0, "5.7.26")),
    (
        delivery.fails_dmarc,
        {"dmarc": DmarcFigure("acme.example", 1000, 10)},
        {"dmarc": DmarcFigure("acme.example", 1000, 9)},
    ),
    (delivery.is_refused_as_spam, bounce(5, "5.7.1"), bounce(4, "5.7.1")),
    (delivery.is_refused_as_spam, bounce(5, "4.7.0", "low reputation of the sender"), bounce(5, "5.7.26")),
    (delivery.has_unknown_users, bounce(10, "5.1.1"), bounce(9, "5.1.1")),
    (delivery.has_unknown_users, bounce(10, "5.0.0", "User unknown"), bounce(10, "4.1.1", "", "soft")),
    (delivery.finds_full_mailboxes, bounce(5, "4.2.2", "", "soft"), bounce(4, "4.2.2", "", "soft")),
    (delivery.is_delayed, {"feedback": {"delayed": 100}}, {"feedback": {"delayed": 99}}),
    (
        delivery.is_unsubscribed_from,
        {"unsubscribes": Unsubscribes(5, 1, 1, 1, 2)},
        {"unsubscribes": Unsubscribes(4, 1, 1, 1, 1)},
    ),
    (delivery.is_suppressed_by_provider, {"feedback": {"provider_suppressed": 1}}, {}),
    (delivery.is_opened_by_machines, {"opens": Opens(10, {"m": 10})}, {"opens": Opens(11, {"m": 10})}),
    (delivery.has_a_bad_receiver, receivers(5), receivers(4)),
    (delivery.has_a_bad_receiver, receivers(5), receivers(5, sent=99)),
    (delivery.has_a_bad_receiver, receivers(9, other_bad=27), receivers(9, other_bad=28)),
)  # fmt: skip


@pytest.mark.parametrize(("because", "at_limit", "beside"), BOTH_SIDES)
def test_rule_applies_at_its_limit_and_not_beside_it(
    because: Because, at_limit: dict[str, Any], beside: dict[str, Any]
) -> None:
    reason = because(make(**at_limit))
    assert reason is not None
    assert any(character.isdigit() for character in reason), reason  # the figure
    assert because(make(**beside)) is None
    assert because(make()) is None


def test_every_rule_is_tested() -> None:
    assert {rule.because for rule in RULES} == {because for because, _, _ in BOTH_SIDES}


def test_a_run_in_which_everything_went_well_needs_no_advice() -> None:
    assert advise(make()) == []


def test_advice_to_act_comes_first_with_complete_commands() -> None:
    advice = advise(make(
        accounts={"in_doubt": 3, "failed": 1}, feedback={"provider_suppressed": 4}, state="paused", is_sandbox=True,
        reason="stopped by SIGTERM",
    ))  # fmt: skip
    assert [(one.level, one.command) for one in advice] == [
        ("act", f"mailrun resolve {RUN}"),
        ("act", "mailrun launch news --key 2026-11-24 --sandbox"),
        ("improve", f"mailrun status {RUN}"),
        ("improve", "mailrun suppress sync"),
    ]
    assert "stopped by SIGTERM" in advice[1].because


def test_a_failure_is_named_with_its_most_frequent_cause() -> None:
    causes = [Cause("too large", 1, ()), Cause("price is missing", 7, ())]
    figures = make(accounts={"failed": 8}, outcomes=(OutcomeFigure("failed", 8, causes),))
    assert sending.fails_a_little(figures) == (
        "8 of 1,000 recipients were refused or failed (0.8%). Most often: price is missing"
    )
