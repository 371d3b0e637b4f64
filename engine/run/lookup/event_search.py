"""Finds the events of one address in the store, from a day on, as far as the time reaches."""

from collections.abc import Callable, Sequence
from datetime import date, datetime

import polars as pl
from msgspec import Struct, field

from engine.errors import MailrunError
from engine.feedback.events.event_files import EVENT_SCHEMA, list_days, scan_day
from engine.feedback.events.records import EventKind
from engine.store.port import Store

MOST_EVENTS = 1000  # of one address: a machine may open a message any number of times
_DAYS_AT_ONCE = 16
_ORDER = {kind: number for number, kind in enumerate(EventKind)}  # of events of one moment


class AddressEvent(Struct, frozen=True, kw_only=True):
    """An event of the address; texts are those of SES and of the receiving server.

    Attributes:
        at: when it happened.
        kind, subtype: as SES names them.
        run, row: the recipient that it belongs to; None where it belongs to no run here.
        message_id: SES's.
        status: the receiver's enhanced status code.
        detail: the receiver's diagnostic text, or the reason.
        link: that was clicked.
        topics: opted out of.
        sent_to: recipient of the mail, where the event names another address.
        agent: program that opened or clicked in place of a person; None for a person, or where it is not known.
    """

    at: datetime
    kind: str
    subtype: str | None
    run: str | None
    row: int | None
    message_id: str
    status: str | None
    detail: str | None
    link: str | None
    topics: str | None
    sent_to: str | None
    agent: str | None = None


class EventSearch(Struct):
    """What a search found.

    Attributes:
        events: in order of time.
        next_day: the first day that was not searched; None where all were.
        left_out: events that were found beyond MOST_EVENTS.
        unread: day -> why its events could not be read.
    """

    events: list[AddressEvent] = field(default_factory=list)
    next_day: date | None = None
    left_out: int = 0
    unread: dict[str, str] = field(default_factory=dict)


_COLUMNS = [name for name in AddressEvent.__struct_fields__ if name in EVENT_SCHEMA]


def find_events(store: Store, key: str, since: date, is_late: Callable[[], bool]) -> EventSearch:
    """Find the events of an address.

    Args:
        store: has the events.
        key: the normalised address.
        since: the first day; no message was sent to the address before it.
        is_late: whether to stop; some days are searched in any case.
    """
    days = [day for day in list_days(store) if day >= since]
    search, frames = EventSearch(), list[pl.DataFrame]()
    for start in range(0, len(days), _DAYS_AT_ONCE):
        if start and is_late():
            search.next_day = days[start]
            break
        frames += _read_days(store, key, days[start : start + _DAYS_AT_ONCE], search.unread)
    if frames:
        order = pl.col("kind").replace_strict(_ORDER, default=len(_ORDER), return_dtype=pl.UInt8)
        found = pl.concat(frames).unique("id", keep="first").sort("at", order, "id")
        search.left_out = max(0, found.height - MOST_EVENTS)
        rows = found.head(MOST_EVENTS).select(*_COLUMNS).iter_rows(named=True)
        search.events = [AddressEvent(**values) for values in rows]
    return search


def _read_days(store: Store, key: str, days: Sequence[date], unread: dict[str, str]) -> list[pl.DataFrame]:
    is_theirs = pl.col("key") == key
    try:
        together = pl.concat([scan_day(store, day) for day in days])
        return [together.filter(is_theirs).select("id", *_COLUMNS).collect()]
    except (OSError, pl.exceptions.PolarsError, MailrunError) as error:
        if len(days) == 1:
            unread[days[0].isoformat()] = str(error).partition("\n")[0]
            return []
    return [frame for day in days for frame in _read_days(store, key, [day], unread)]
