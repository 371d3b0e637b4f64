"""The changes of a run's state, with time and reason: pauses that it made by itself, and launches that resumed it."""

from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection, select

from engine.ledger.notices.occurrences import NoticeEvent
from engine.ledger.schema import notification_table
from engine.ledger.values.documents import read_document

_KNOWN = frozenset(map(str, NoticeEvent))

_KNOWN = frozenset(map(str, NoticeEvent))


class StateChange(Struct, frozen=True):
    """A change of a run's state; runs of earlier versions have none."""

    at: datetime
    event: NoticeEvent
    reason: str


def list_state_changes(tx: Connection, run: str) -> list[StateChange]:
    """Read the changes of a run's state in the order of time."""
    table = notification_table.c
    mine = select(table.created_at, table.event, table.notice).where(table.run == run, table.target == "")
    found = tx.execute(mine.order_by(table.created_at, table.occurrence))
    what = f"a change of the state of {run}"
    return [
        StateChange(at, NoticeEvent(event), str(read_document(notice, what).get("reason", "")))
        for at, event, notice in found
        if event in _KNOWN  # a later version may record more
    ]
