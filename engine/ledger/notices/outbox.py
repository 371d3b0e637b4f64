"""The outbox of notifications: occurrences are divided among targets, and each row is claimed by one process at a time.

A claim ends by itself after CLAIM_SECONDS: what a killed process had claimed is sent again then, under the same id. The
database's clock decides, so the clocks of several machines are never compared.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

import orjson
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Row, and_, exists, insert, select, update

from engine.ledger.database import read_clock
from engine.ledger.notices.occurrences import NoticeEvent
from engine.ledger.schema import notification_table, run_table

CLAIM_SECONDS = 60.0
GIVE_UP_SECONDS = 86_400.0  # after the change of state
ERROR_LENGTH = 300

_table = notification_table.c
_is_pending: ColumnElement[bool] = and_(_table.delivered_at.is_(None), _table.given_up_at.is_(None))


class Occurrence(Struct, frozen=True):
    """A change of a run's state that was not divided among targets yet."""

    id: str
    run: str
    event: NoticeEvent
    state: str
    reason: str
    created_at: datetime


class Delivery(Struct, frozen=True):
    """A claimed notification.

    Attributes:
        occurrence: id of the change.
        target: name of the receiver.
        run: its name.
        notice: what is sent.
        attempts: number of attempts, with this one.
        claim: random; only the process that has the last one records a result.
        gives_up_at: no attempt begins after it.
        now: the database's time of the claim.
    """

    occurrence: str
    target: str
    run: str
    notice: Mapping[str, Any]
    attempts: int
    claim: str
    gives_up_at: datetime
    now: datetime


class NotificationRecord(Struct, frozen=True):
    """What became of one notification."""

    target: str
    event: str
    created_at: datetime
    attempts: int
    delivered_at: datetime | None
    given_up_at: datetime | None
    last_error: str | None

    @property
    def state(self) -> str:
        """Return `delivered`, `given_up` or `pending`."""
        return "delivered" if self.delivered_at else "given_up" if self.given_up_at else "pending"


def list_occurrences(tx: Connection) -> list[Occurrence]:
    """Read the occurrences that were not divided yet, the oldest first.

    What is damaged, or of a later version of mailrun, is left for that version, and given up in the end.
    """
    rows = tx.execute(select(notification_table).where(_table.target == "", _is_pending).order_by(_table.created_at))
    return [found for row in rows if (found := _read_occurrence(row)) is not None]


def _read_occurrence(row: Row[Any]) -> Occurrence | None:
    try:
        state, reason = itemgetter("state", "reason")(orjson.loads(row.notice))
        event = NoticeEvent(row.event)
    except (ValueError, TypeError, KeyError):
        return None
    return Occurrence(row.occurrence, row.run, event, str(state), str(reason), row.created_at)


def divide(tx: Connection, occurrence: Occurrence, notices: Mapping[str, Mapping[str, Any]]) -> bool:
    """Divide an occurrence among its targets, once; False if another process has.

    Args:
        tx: a write transaction.
        occurrence: that was read.
        notices: target -> what is sent to it; empty where no target is notified.
    """
    now, row = read_clock(tx), (_table.occurrence == occurrence.id, _table.target == "")
    divided = tx.execute(update(notification_table).where(*row, _is_pending).values(delivered_at=now))
    if divided.rowcount != 1:
        return False
    rows = [
        {
            "occurrence": occurrence.id,
            "target": target,
            "run": occurrence.run,
            "event": occurrence.event.value,
            "notice": orjson.dumps(notice).decode(),
            "created_at": occurrence.created_at,
            "due_at": now,
            "attempts": 0,
        }
        for target, notice in notices.items()
    ]
    if rows:
        tx.execute(insert(notification_table), rows)
    return True


def give_up_old(tx: Connection) -> None:
    """Give up what has waited for GIVE_UP_SECONDS; occurrences that nobody divided in that time are only closed."""
    now = read_clock(tx)
    old = (_is_pending, _table.created_at < now - timedelta(seconds=GIVE_UP_SECONDS))
    tx.execute(update(notification_table).where(*old, _table.target == "").values(delivered_at=now))
    tx.execute(update(notification_table).where(*old, _table.due_at <= now).values(given_up_at=now))


def has_pending(tx: Connection, *, of_campaigns: bool) -> bool:
    """Return whether anything waits to be sent, with `of_campaigns` only of runs whose campaign has targets."""
    found = select(_table.occurrence).where(_is_pending)
    if of_campaigns:
        found = found.join(run_table, run_table.c.name == _table.run).where(run_table.c.notify.is_not(None))
    return bool(tx.execute(select(exists(found))).scalar_one())


def find_due(tx: Connection) -> set[str]:
    """Read the targets that have a notification that is due."""
    due = select(_table.target).where(_table.target != "", _is_pending, _table.due_at <= read_clock(tx))
    return set(tx.execute(due.distinct()).scalars())


def find_seconds_to_next(tx: Connection) -> float | None:
    """Read in how many seconds the next notification is due, 0 if one is or must be divided; None where none waits."""
    earliest = tx.execute(
        select(_table.due_at).where(_is_pending).order_by(_table.due_at).limit(1)
    ).scalar_one_or_none()
    return None if earliest is None else max(0.0, (earliest - read_clock(tx)).total_seconds())


def claim_next(tx: Connection, target: str, claim: str) -> Delivery | None:
    """Claim the oldest notification of a target that is due, for CLAIM_SECONDS; None where there is none.

    Args:
        tx: a write transaction.
        target: its name.
        claim: random.
    """
    now = read_clock(tx)
    due = and_(_table.target == target, _is_pending, _table.due_at <= now)
    found = select(notification_table).where(due).order_by(_table.created_at, _table.occurrence)
    for row in tx.execute(found.limit(10)).all():
        is_it = and_(_table.occurrence == row.occurrence, due)
        values = {"due_at": now + timedelta(seconds=CLAIM_SECONDS), "claim": claim, "attempts": _table.attempts + 1}
        if tx.execute(update(notification_table).where(is_it).values(values)).rowcount == 1:
            return Delivery(
                occurrence=row.occurrence,
                target=target,
                run=row.run,
                notice=orjson.loads(row.notice),
                attempts=row.attempts + 1,
                claim=claim,
                gives_up_at=row.created_at + timedelta(seconds=GIVE_UP_SECONDS),
                now=now,
            )
    return None


def record_delivered(tx: Connection, delivery: Delivery) -> bool:
    """Record that a target accepted a notification; False if another process has claimed it since."""
    return _record(tx, delivery, delivered_at=read_clock(tx), last_error=None)


def record_failed(tx: Connection, delivery: Delivery, error: str, *, wait: float) -> bool:
    """Record a failed attempt; the next one begins after `wait` seconds, or never if that is too late.

    Returns:
        Whether it will be tried again.
    """
    now = read_clock(tx)
    due = now + timedelta(seconds=wait)
    gives_up = due > delivery.gives_up_at
    more = {"given_up_at": now} if gives_up else {}
    _record(tx, delivery, due_at=due, last_error=error[:ERROR_LENGTH], **more)
    return not gives_up


def _record(tx: Connection, delivery: Delivery, **values: Any) -> bool:
    row = (_table.occurrence == delivery.occurrence, _table.target == delivery.target, _table.claim == delivery.claim)
    return tx.execute(update(notification_table).where(*row, _is_pending).values(values)).rowcount == 1


def list_notifications(tx: Connection, run: str) -> Sequence[NotificationRecord]:
    """Read what became of the notifications of a run, the oldest first."""
    rows = tx.execute(
        select(notification_table)
        .where(_table.run == run, _table.target != "")
        .order_by(_table.created_at, _table.target)
    )
    names: Collection[str] = NotificationRecord.__struct_fields__
    return [NotificationRecord(**{name: getattr(row, name) for name in names}) for row in rows]
