"""Figures of a run made by hand: a whole one with everything, and one about which little is known."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.ledger.event_flags import SHOWN
from engine.report.figures.document import (
    Advice,
    Breakdown,
    BreakdownRow,
    Cause,
    Diagnosis,
    EarlierRun,
    Figures,
    Link,
    Moment,
    Opens,
    OutcomeFigure,
    TimeLine,
    Unsubscribes,
)

START = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
_FEEDBACK = {
    "delivered": 47_912,
    "bounced": 412,
    "soft_bounced": 96,
    "provider_suppressed": 8,
    "complained": 21,
    "opened": 26_480,
    "opened_by_people": 11_820,
    "clicked": 5_310,
    "clicked_by_people": 4_870,
    "delayed": 340,
    "unsubscribed": 176,
    "rejected": 1,
}


def make_figures(**changes: Any) -> Figures:
    """Make the figures of a finished run of 50,000 rows, with every section filled."""
    whole: dict[str, Any] = {
        "run": "welcome/2026-12-01",
        "subject": "Welcome to Acme, {{ first_name }}",
        "sender": "Acme <news@acme.example>",
        "state": "finished",
        "reason": None,
        "created_at": START - timedelta(minutes=3),
        "started_at": START,
        "finished_at": START + timedelta(minutes=42, seconds=10),
        "made_at": START + timedelta(hours=26),
        "took_seconds": 1.42,
        "is_sandbox": False,
        "accounts": _count_accounts(rows_read=50_000, accepted=48_720, refused=6, failed=14, in_doubt=3),
        "exclusions": (
            Cause("invalid_address", 189, ("j***@acme,example, people.csv line 12, comma in the domain",)),
            Cause("duplicate", 640, ("a***@example.com, people.csv line 90, same as line 4",)),
            Cause("suppressed", 412, ("b***@example.net, people.csv line 7, complained 2026-10-02",) * 3),
            Cause("missing_data", 39, ("c***@example.org, people.csv line 44, first_name is empty",)),
        ),
        "outcomes": (
            OutcomeFigure("sent", 48_697, ()),
            OutcomeFigure("refused", 6, (Cause("MessageRejected: Email address is not verified", 6, ()),)),
            OutcomeFigure("failed", 14, (Cause("'plan' is undefined", 14, ("d***@example.com, row 410",)),)),
            OutcomeFigure("in_doubt", 3, (Cause("no answer within 60 s", 3, ("e***@example.com, row 9",)),)),
            OutcomeFigure("unsent", 0, ()),
        ),
        "feedback": _FEEDBACK,
        "time_line": make_time_line(),
        "moments": (
            Moment(START, "started", "started by 2 workers"),
            Moment(START + timedelta(minutes=12), "paused", "paused by ops: check the landing page"),
            Moment(START + timedelta(minutes=19), "resumed", "resumed by ops"),
            Moment(START + timedelta(minutes=42), "finished", "every recipient has an outcome"),
        ),
        "bounces": (
            Diagnosis(
                "hard",
                "5.1.1",
                "The email account does not exist",
                371,
                {"gmail.com": 201, "yahoo.com": 98, "aol.com": 40},
            ),
            Diagnosis("soft", "4.2.2", "The recipient's inbox is full", 96, {"gmail.com": 60, "icloud.com": 36}),
            Diagnosis("hard", "", "", 41, {"example.net": 41}),
        ),
        "opens": Opens(11_820, {"Apple Mail Privacy Protection": 13_990, "Gmail image proxy prefetch": 670}),
        "links": (
            Link(1, "https://acme.example/start?plan={{ plan }}", 3_902, 4_410, 812),
            Link(2, "https://acme.example/help", 1_204, 1_377, 640),
            Link(None, "mailto:help@acme.example", 204, 210, 0),
        ),
        "unsubscribes": Unsubscribes(total=176, ses=12, one_click=121, page=41, mailto=9),
        "tables": _make_tables(),
        "earlier": tuple(
            _make_earlier(day, bounced, opened) for day, bounced, opened in ((24, 690, 11_100), (17, 401, 12_900))
        ),
        "canary": "The canary passed: of 500 recipients 3 bounced (0.6%), at most 5% may.",
        "guard": (
            "Bounces stayed below the limit: 508 of 48,697 (1%), at most 5% may.",
            "Complaints stayed below 0.1%.",
        ),
        "advice": (
            Advice(
                "act",
                "Settle the 3 recipients in doubt",
                "no answer came to their calls",
                "mailrun resolve welcome/2026-12-01",
            ),
            Advice("improve", "Remove addresses that do not exist", "371 hard bounces, 0.76% of sent", ""),
        ),
    }
    return Figures(**(whole | changes))


def make_bare_figures(**changes: Any) -> Figures:
    """Make the figures of a run that was planned, and about which nothing else is known."""
    bare: dict[str, Any] = {
        "state": "planned",
        "started_at": None,
        "finished_at": None,
        "accounts": _count_accounts(rows_read=10, accepted=10, unsent=10),
        "exclusions": (),
        "outcomes": (OutcomeFigure("unsent", 10, ()),),
        "feedback": dict.fromkeys(SHOWN, 0),
        "time_line": TimeLine(1, (), (), (), (), ()),
        "opens": Opens(0, {}),
        "unsubscribes": Unsubscribes(total=0, ses=0, one_click=0, page=0, mailto=0),
        "canary": None,
    }
    empty = ("moments", "bounces", "links", "tables", "earlier", "guard", "advice")
    return make_figures(**(bare | dict.fromkeys(empty, ()) | changes))


def make_time_line() -> TimeLine:
    """Make the time line of a run with a slow start, a pause and some throttling, in steps of a minute."""
    steps = 43
    moving = [0 if 12 <= step < 19 else 1 for step in range(steps)]
    sent = [round(moving[step] * min(1400, 240 + 320 * step) * (1 + 0.05 * math.sin(step))) for step in range(steps)]
    return TimeLine(
        60,
        [round(START.timestamp()) + 60 * step for step in range(steps)],
        sent,
        [1 if step % 5 == 3 and moving[step] else 0 for step in range(steps)],
        [step % 7 if 5 < step < 10 else 0 for step in range(steps)],
        [None if not moving[step] else 25.0 if step < 22 else 24.0 for step in range(steps)],
    )


def _count_accounts(**counts: int) -> dict[str, int]:
    empty = dict.fromkeys(("refused", "failed", "in_doubt", "unsent"), 0) | counts
    return empty | {
        "sent": empty["accepted"] - sum(empty[name] for name in ("refused", "failed", "in_doubt", "unsent"))
    }


def _make_tables() -> tuple[Breakdown, ...]:
    def row(value: str, recipients: int, share: float = 0.985) -> BreakdownRow:
        sent = recipients - recipients // 2000
        delivered = round(sent * share)
        counts = {
            "delivered": delivered,
            "bounced": sent - delivered,
            "opened_by_people": delivered // 4,
            "clicked_by_people": delivered // 9,
        }
        return BreakdownRow(value, recipients, sent, counts | {"complained": delivered // 2300})

    return (
        Breakdown(
            "receiver",
            (row("gmail.com", 21_400), row("yahoo.com", 8_110, 0.97), row("icloud.com", 4_020), row("", 15_190)),
        ),
        Breakdown("locale", (row("en", 30_100), row("vi-VN", 12_400), row("ar", 6_220, 0.96))),
        Breakdown("variant", (row("short subject", 24_360), row("long subject", 24_360, 0.98))),
        Breakdown("hour", (row("2026-12-01T09:00:00Z", 48_720),)),
    )


def _make_earlier(day: int, bounced: int, opened: int) -> EarlierRun:
    accounts = _count_accounts(rows_read=48_000, accepted=47_100, failed=9)
    feedback = dict(
        _FEEDBACK, delivered=46_300, bounced=bounced, opened_by_people=opened, clicked_by_people=4_610, complained=20
    )
    return EarlierRun(f"welcome/2026-11-{day}", START - timedelta(days=30 - day + 1), accounts, feedback)
