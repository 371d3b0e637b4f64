"""Signs of life of the runs that are being sent, which show a stall."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, func, select

from engine.ledger.database import read_clock
from engine.ledger.notices.occurrences import NoticeEvent
from engine.ledger.schema import RunState, journal_table, lease_table, notification_table, run_table, worker_table
from engine.ledger.values.documents import read_document
from engine.ledger.workers import list_all_live_workers


class StallSigns(Struct, frozen=True):
    """The signs of life of one run.

    Attributes:
        run: its name.
        now: by the database's clock.
        progress_at: the last commit, settled lease or change of state; None where nothing was recorded.
        seen_at: the last heartbeat of any of its workers; None where it has none.
        live: number of workers that seem to be alive.
        vitals: what the live workers measured.
        reported_at: when its last stall was recorded.
    """

    run: str
    now: datetime
    progress_at: datetime | None
    seen_at: datetime | None
    live: int
    vitals: Sequence[Mapping[str, Any]]
    reported_at: datetime | None


def read_stall_signs(tx: Connection) -> list[StallSigns]:
    """Read the signs of life of all runs that are being sent."""
    now = read_clock(tx)
    names = tx.execute(select(run_table.c.name).where(run_table.c.state == RunState.SENDING)).scalars().all()
    live = list_all_live_workers(tx, now) if names else {}
    return [_read(tx, name, now, live.get(name, set())) for name in names]


def _read(tx: Connection, run: str, now: datetime, live: set[str]) -> StallSigns:
    occurrences, is_stall = notification_table.c, notification_table.c.event == NoticeEvent.STALLED
    progress = (
        select(func.max(journal_table.c.at)).where(journal_table.c.run == run),
        select(func.max(lease_table.c.settled_at)).where(lease_table.c.run == run),
        select(func.max(occurrences.created_at)).where(occurrences.run == run, ~is_stall),
        select(run_table.c.started_at).where(run_table.c.name == run),
    )
    found = [at for each in progress if (at := tx.execute(each).scalar_one()) is not None]
    seen = select(func.max(worker_table.c.heartbeat_at)).where(worker_table.c.run == run)
    reported = select(func.max(occurrences.created_at)).where(occurrences.run == run, is_stall)
    vitals = select(worker_table.c.vitals).where(worker_table.c.id.in_(live), worker_table.c.vitals.is_not(None))
    return StallSigns(
        run=run,
        now=now,
        progress_at=max(found, default=None),
        seen_at=tx.execute(seen).scalar_one(),
        live=len(live),
        vitals=[read_document(one, f"what a worker of {run} recorded") for one in tx.execute(vitals).scalars()],
        reported_at=tx.execute(reported).scalar_one(),
    )
