"""Occurrences: changes of a run's state, recorded in the transaction that makes the change.

An occurrence knows no targets: a process that has the settings divides it among them later (outbox.py). So a state
change needs no settings, and each occurrence is divided once.
"""

import uuid
from enum import StrEnum

import orjson
from sqlalchemy import Connection

from engine.ledger.database import insert_if_absent, read_clock
from engine.ledger.schema import RunState, notification_table


class NoticeEvent(StrEnum):
    """What a target may be notified of."""

    STARTED = "started"  # the first message is about to be sent
    RESUMED = "resumed"
    PAUSED = "paused"  # by a person, or by mailrun itself
    GUARD = "guard"  # paused by the guard or the canary
    FINISHED = "finished"  # finished or cancelled
    STALLED = "stalled"  # found from outside: see engine.notify.stalls


def record_occurrence(  # noqa: PLR0913, PLR0917 - what happened, to what, and why
    tx: Connection,
    run: str,
    event: NoticeEvent,
    state: RunState,
    reason: str = "",
    occurrence: str | None = None,
) -> bool:
    """Record that something happened to a run; part of the transaction that changes its state.

    Args:
        tx: a write transaction.
        run: its name.
        event: what happened.
        state: the run's state from now on.
        reason: why, for people.
        occurrence: its id where several processes may find it at once; None for a random one.

    Returns:
        False if the occurrence was recorded before.
    """
    now = read_clock(tx)
    recorded = tx.execute(
        insert_if_absent(tx, notification_table).values(
            occurrence=occurrence or uuid.uuid4().hex,
            target="",
            run=run,
            event=event.value,
            notice=orjson.dumps({"state": state.value, "reason": reason}).decode(),
            created_at=now,
            due_at=now,
            attempts=0,
        )
    )
    return recorded.rowcount == 1
