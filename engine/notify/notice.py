"""A notice: what a target reads about a run. Pure: facts in, a JSON document out.

The document is made once, when the state has changed, and kept: every attempt sends the same one.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from engine.ledger.journal import Outcome
from engine.ledger.notices.occurrences import NoticeEvent
from engine.ledger.notices.outbox import Occurrence
from engine.ledger.schema import RunState
from engine.masking import mask_text, mask_value
from engine.quantities import format_count
from engine.report.accounts import Accounts

TITLE_LENGTH = 150
REASON_LENGTH = 2000

Notice = Mapping[str, Any]

_TO_DO = {
    NoticeEvent.PAUSED: "To resume, see: mailrun status {run}",
    NoticeEvent.GUARD: (
        "See the figures with: mailrun status {run}. To send anyway: mailrun resume {run}, then launch again."
    ),
    NoticeEvent.STALLED: "Look at it with: mailrun status {run}. To resume, launch it again with the same key.",
}


def make_notice(occurrence: Occurrence, accounts: Accounts, target: str, link: str) -> dict[str, Any]:
    """Make the document that is sent to a target.

    Args:
        occurrence: what happened.
        accounts: of the run, as `mailrun status` shows them.
        target: the name of the target.
        link: template, with {run}, {campaign} and {key}; empty for none.
    """
    campaign, _, key = occurrence.run.partition("/")
    reason = shorten(mask_text(occurrence.reason), REASON_LENGTH)
    return {
        "id": f"{occurrence.id}-{target}",
        "event": occurrence.event.value,
        "title": shorten(mask_text(_write_title(occurrence, accounts)), TITLE_LENGTH),
        "run": occurrence.run,
        "campaign": campaign,
        "key": key,
        "state": occurrence.state,
        "reason": reason or None,
        "do": _TO_DO[occurrence.event].format(run=occurrence.run) if occurrence.event in _TO_DO else None,
        "at": write_time(occurrence.created_at),
        "link": fill_link(link, occurrence.run) or None,
        "sandbox": accounts.sandbox,
        "accounts": mask_value(accounts.to_json()),
    }


def make_test_notice(target: str, now: datetime, link: str, occurrence: str) -> dict[str, Any]:
    """Make the document of `mailrun notify test`: of no run, and with empty accounts."""
    accounts = Accounts(
        run="test/test",
        state=RunState.PLANNED,
        reason=None,
        rows_read=0,
        accepted=0,
        excluded={},
        outcomes={},
        store="",
    )
    tested = Occurrence(
        id=occurrence, run="test/test", event=NoticeEvent.STARTED, state="planned", reason="", created_at=now
    )
    made = make_notice(tested, accounts, target, link)
    title = "This is a test of mailrun's notifications: nothing was sent"
    return made | {"event": "test", "title": title, "reason": "Somebody ran mailrun notify test."}


def shorten(text: str, length: int) -> str:
    """Return a text of at most `length` characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def fill_link(link: str, run: str) -> str:
    """Fill in the template of a link."""
    campaign, _, key = run.partition("/")
    values = {"{run}": run, "{campaign}": campaign, "{key}": key}
    for part, value in values.items():
        link = link.replace(part, quote(value))
    return link


def write_time(moment: datetime) -> str:
    """Write a time in UTC, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _write_title(occurrence: Occurrence, accounts: Accounts) -> str:
    run, sent = occurrence.run, accounts.count(Outcome.SENT)
    so_far = f"{sent:,} of {format_count(accounts.accepted, 'recipient')} sent"
    match occurrence.event:
        case NoticeEvent.STARTED:
            return f"{run} has started: {format_count(accounts.accepted, 'recipient')}"
        case NoticeEvent.RESUMED:
            return f"{run} sends again: {so_far}"
        case NoticeEvent.PAUSED:
            return f"{run} is paused: {so_far}"
        case NoticeEvent.GUARD:
            return f"{run} was paused by the guard: {so_far}"
        case NoticeEvent.STALLED:
            return f"{run} has stalled: {so_far}"
        case NoticeEvent.FINISHED:
            return _write_end(occurrence, accounts, so_far)


def _write_end(occurrence: Occurrence, accounts: Accounts, so_far: str) -> str:
    if occurrence.state == RunState.CANCELLED:
        return f"{occurrence.run} was cancelled: {so_far}"
    lost = [
        f"{count:,} {str(outcome).replace('_', ' ')}"
        for outcome in (Outcome.REFUSED, Outcome.FAILED, Outcome.IN_DOUBT)
        if (count := accounts.count(outcome))
    ]
    losses = f", {', '.join(lost)}" if lost else ""
    return f"{occurrence.run} has finished: {so_far}{losses}"


def list_facts(notice: Notice) -> list[tuple[str, str]]:
    """List the accounts for people: what, and how many."""
    accounts = notice["accounts"]
    excluded = sum(accounts["excluded"].values())
    counts = {"rows read": accounts["rows_read"], "accepted": accounts["accepted"], "excluded": excluded}
    counts |= {name.replace("_", " "): accounts[name] for name in ("sent", "refused", "failed", "in_doubt", "unsent")}
    return [(name, f"{count:,}") for name, count in counts.items()]
