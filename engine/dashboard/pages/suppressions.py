"""The suppression list: counts, and the newest entries by pages. Addresses are masked; Look up shows one of them."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from engine.dashboard.answers import PageQuery, TemplatePage
from engine.dashboard.background import BackgroundReading, ReadSoFar, find_reading
from engine.ledger.database import Ledger
from engine.ledger.suppressed.listing import ListCounts, ListFilter, ListPage, ListPlace, count_list, read_list_page
from engine.masking import mask_text
from engine.workspace import Workspace

PAGE_SIZE = 50
_COUNTS_LAST = timedelta(minutes=1)
_WAIT_SECONDS = 0.5  # for the first counts: of most lists they take less
_MOST_DIGITS = 9
_LONGEST = 128


def read_suppressions(workspace: Workspace, request: PageQuery) -> TemplatePage:
    """Read one page of the list; `reason`, `topic`, `at` and `before` of the query choose."""
    which = ListFilter(request.query.get("reason", "")[:_LONGEST], request.query.get("topic", "")[:_LONGEST])
    place = read_place(request.query.get("at", ""), request.query.get("before", ""))
    with workspace.ledger.read() as tx:
        page = read_list_page(tx, which, place, PAGE_SIZE)
    reading = find_reading(
        ("suppression list", workspace.ledger.url),
        lambda: BackgroundReading("suppression list", partial(_count, workspace.ledger), _COUNTS_LAST),
    )
    return make_suppressions(page, which, place, reading.get(_WAIT_SECONDS))


def _count(ledger: Ledger, publish: object) -> ListCounts:  # noqa: ARG001 - there is nothing before the end
    with ledger.read() as tx:
        return count_list(tx)


def read_place(at: str, before: str) -> ListPlace | None:
    """Read where a page begins; None for the newest entry, and for what is not valid."""
    try:
        moment = datetime.fromisoformat(at)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    is_number = before.isascii() and before.isdecimal() and len(before) <= _MOST_DIGITS
    return ListPlace(moment, int(before) if is_number else 0)


def make_suppressions(page: ListPage, which: ListFilter, place: ListPlace | None, counted: ReadSoFar) -> TemplatePage:
    """Make the page.

    Args:
        page: entries.
        which: the filter.
        place: where the page begins; None for the newest entry.
        counted: the counts of the whole list, as far as they are known.
    """
    values: dict[str, Any] = {
        "entries": [(mask_text(one.address or one.key), one) for one in page.entries],
        "which": which,
        "is_first": place is None,
        "newest": _make_path(which, None),
        "older": "" if page.next_place is None else _make_path(which, page.next_place),
        "counts": counted.value,
        "counted": counted,
        "topics": [(topic or "all mail", count) for topic, count in counted.value.topics] if counted.value else [],
    }
    return TemplatePage(template="suppressions.html", title="Suppressions", values=values)


def _make_path(which: ListFilter, place: ListPlace | None) -> str:
    query: dict[str, Any] = {"reason": which.reason, "topic": which.topic}
    if place is not None:
        query |= {"at": place.at.isoformat(), "before": place.before}
    text = urlencode({name: value for name, value in query.items() if value})
    return f"/suppressions?{text}" if text else "/suppressions"
