"""Moments, canary and guard from decisions: in order, masked, with their reasons."""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace
from support.feedback import make_run

from engine.ledger.decisions import Decision
from engine.ledger.facts import RunFacts
from engine.ledger.figures.state_changes import StateChange
from engine.ledger.notices.occurrences import NoticeEvent
from engine.ledger.runs import Run
from engine.ledger.schema import RunState
from engine.report.figures.canary_and_guard import describe_canary, list_guard_sentences
from engine.report.figures.moments import LONGEST, MOST, list_moments

START = datetime(2026, 11, 24, 9, tzinfo=UTC)
RUN = "news/2026-11-24"


def decide(minutes: int, what: str, who: str = "ann@host", **detail: object) -> Decision:
    return Decision(RUN, START + timedelta(minutes=minutes), who, what, detail)


def sent_run(**changes: object) -> Run:
    facts = RunFacts("acme.example", "ses", trial=False, kind="marketing", topic="news", canary='{"recipients": 10}')
    finished = {"started_at": START, "finished_at": START + timedelta(minutes=60), "facts": facts}
    return replace(make_run(), **finished | changes)


def change(minutes: float, event: NoticeEvent, reason: str = "") -> StateChange:
    return StateChange(START + timedelta(minutes=minutes), event, reason)


def test_moments_are_in_order_of_time_and_masked() -> None:
    """A person's decision is shown once, though the run's state changes with it."""
    changes = [
        change(0, NoticeEvent.STARTED),
        change(5, NoticeEvent.GUARD, "10 of 50 bounced, such as bo@c.example"),
        change(7.01, NoticeEvent.RESUMED),
        change(9, NoticeEvent.PAUSED, "stopped by SIGTERM"),
        change(20, NoticeEvent.RESUMED),
        change(21.01, NoticeEvent.PAUSED, "paused by ann@host: wrong price"),
        change(60, NoticeEvent.FINISHED),
    ]
    decisions = [
        decide(7, "resume", reason="ok"),
        decide(21, "pause", reason="wrong price"),
        decide(30, "resolve --skip"),
    ]
    found = list_moments(sent_run(), decisions, changes)
    assert [(moment.kind, moment.text) for moment in found] == [
        ("started", "sending began"),
        ("guard", "the guard paused the run: 10 of 50 bounced, such as b***@c.example"),
        ("resumed", "resumed by ann@host: ok"),
        ("paused", "the run paused: stopped by SIGTERM"),
        ("resumed", "the run was launched again"),
        ("paused", "paused by ann@host: wrong price"),
        ("decision", "resolve --skip by ann@host"),
        ("finished", "the run finished"),
    ]


def test_cancelled_run_shows_its_cancellation_once() -> None:
    run = sent_run(state=RunState.CANCELLED, reason="cancelled by ann@host: no")
    assert [one.kind for one in list_moments(run, [])] == ["started", "cancelled"]
    assert [one.kind for one in list_moments(run, [decide(60, "cancel")])] == ["started", "cancelled"]


def test_canary_is_described_at_each_stage() -> None:
    run, sent = sent_run(), decide(1, "canary sent", "mailrun", recipients=10)
    passed = decide(2, "canary passed", "mailrun", recipients=10, delivered=8, bounced=1)
    assert "not sent completely yet" in (describe_canary(run, []) or "")
    assert "waits for its events" in (describe_canary(run, [sent]) or "")
    assert "passed at 2026-11-24 09:02:00 UTC with 8 delivered, 1 bounced" in (
        describe_canary(run, [sent, passed]) or ""
    )
    assert "ann@host let the rest follow" in (describe_canary(run, [sent, decide(2, "approve")]) or "")
    assert describe_canary(replace(run, facts=None), [sent]) is None
    assert describe_canary(replace(run, accepted=10), []) is None


def test_each_pause_of_the_guard_is_one_sentence() -> None:
    changes = [change(5, NoticeEvent.GUARD, "10 of 50 bounced"), change(9, NoticeEvent.PAUSED, "lunch")]
    decisions = [decide(6, "pause", "guard", ses_rates={"bounce": 0.06})]
    assert list_guard_sentences(list_moments(sent_run(), decisions, changes)) == [
        "2026-11-24 09:05:00 UTC: the guard paused the run: 10 of 50 bounced",
        "2026-11-24 09:06:00 UTC: paused by guard: bounce rate of SES 6.00%",
    ]
    assert list_guard_sentences([]) == []


def test_moments_and_their_texts_are_bounded() -> None:
    decisions = [decide(minute, ("pause", "resume")[minute % 2], reason="x" * 10_000) for minute in range(5000)]
    moments = list_moments(sent_run(), decisions)
    assert len(moments) == MOST + 1
    assert [one.text for one in moments if "not listed" in one.text] == ["4,802 further moments are not listed"]
    assert moments == sorted(moments, key=lambda one: one.at)
    assert max(len(one.text) for one in moments) <= LONGEST + 50


def test_rates_of_another_kind_are_left_out() -> None:
    (_, moment, _) = list_moments(sent_run(), [decide(5, "pause", who="guard", ses_rates={"bounce": "high"})])
    assert moment.text == "paused by guard"
