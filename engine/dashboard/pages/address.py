"""Look up one address: the form, what is known of the address, and its events as a second part.

The address comes in the body of a POST, so it is in no URL, no log and no history of a browser.
"""

from datetime import date
from typing import Any

from engine.dashboard.address_story import list_advice, make_story
from engine.dashboard.answers import PageQuery, TemplatePage
from engine.errors import DataError
from engine.run.lookup.event_search import EventSearch
from engine.run.lookup.look_up import AddressRecord, find_address_events, look_up_address
from engine.workspace import Workspace

MOST_CHARACTERS = 320  # the longest address has 254


def read_address_form(workspace: Workspace, request: PageQuery) -> TemplatePage:  # noqa: ARG001 - as every page
    """Make the page with the form alone."""
    return make_address_page("", None)


def read_address(workspace: Workspace, request: PageQuery) -> TemplatePage:
    """Look the address of the form up; with `part=events` its events, too."""
    asked = request.form.get("address", "").strip()
    if not asked or len(asked) > MOST_CHARACTERS:
        return make_address_page(
            asked[:MOST_CHARACTERS], None, problem="Write one address, or a domain as @example.com."
        )
    try:
        record = look_up_address(workspace, asked, first=request.form.get("first") or None)
    except DataError as error:
        return make_address_page(asked, None, problem=f"{error.what}. {error.remedy[:1].upper()}{error.remedy[1:]}.")
    events = None
    if request.form.get("part") == "events" and not record.is_domain:
        events = find_address_events(workspace, asked, since=_read_day(request.form.get("since", "")))
    return make_address_page(asked, record, events)


def make_address_page(
    asked: str, record: AddressRecord | None, events: EventSearch | None = None, *, problem: str = ""
) -> TemplatePage:
    """Make the page.

    Args:
        asked: as it was written.
        record: what is known; None where nothing was looked up.
        events: of the address; None where they were not read yet.
        problem: what is wrong with the address.
    """
    values: dict[str, Any] = {"asked": asked, "problem": problem, "record": record, "events": events}
    if record is not None:
        values |= {"advice": list_advice(record), "story": make_story(record, events), "since": _find_first_day(record)}
    status = 400 if problem else 200
    return TemplatePage(template="address.html", title="Look up an address", values=values, status=status)


def _find_first_day(record: AddressRecord) -> str:
    """Return the first day on which the address may have events; empty where older runs were not searched."""
    if record.next_run is not None:
        return ""
    begun = [one.run.started_at for one in record.messages if one.run.started_at is not None]
    times = [*begun, *(one.at for one in record.pruned)]
    return min(times).date().isoformat() if times else ""


def _read_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
