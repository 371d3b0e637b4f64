"""Runs: one row each, and the states they go through."""

from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import Connection, exists, func, insert, literal, select, update
from sqlalchemy.engine import Row

from engine.ledger.schema import RunState, Timestamp, lease_table, run_table, worker_table


@dataclass(frozen=True, slots=True)
class Run:
    """A run as the ledger knows it."""

    name: str
    state: RunState
    reason: str | None
    sandbox: bool
    folder: str
    manifest_digest: str
    rows_read: int
    accepted: int
    excluded: dict[str, int]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def insert_run(tx: Connection, run: Run, *, lease_rows: list[int]) -> bool:
    """Add a run with its leases; False where it is there already (another launch was first)."""
    if find_run(tx, run.name) is not None:
        return False
    tx.execute(
        insert(run_table).values(
            name=run.name,
            state=run.state.value,
            reason=run.reason,
            sandbox=run.sandbox,
            folder=run.folder,
            manifest_digest=run.manifest_digest,
            rows_read=run.rows_read,
            accepted=run.accepted,
            excluded=orjson.dumps(run.excluded).decode(),
            created_at=run.created_at,
        )
    )
    if lease_rows:
        tx.execute(
            insert(lease_table),
            [{"run": run.name, "ordinal": i, "rows": rows, "epoch": 0} for i, rows in enumerate(lease_rows)],
        )
    return True


def find_run(tx: Connection, name: str) -> Run | None:
    """Read one run."""
    row = tx.execute(select(run_table).where(run_table.c.name == name)).one_or_none()
    return None if row is None else _to_run(row)


def list_runs(tx: Connection) -> list[Run]:
    """Read all runs, the newest first."""
    return [_to_run(row) for row in tx.execute(select(run_table).order_by(run_table.c.created_at.desc()))]


def _to_run(row: Row[tuple[object, ...]]) -> Run:
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name
    return Run(**{**values, "state": RunState(values["state"]), "excluded": orjson.loads(values["excluded"])})


def start_run(tx: Connection, name: str, now: datetime) -> None:
    """A worker begins: planned or paused becomes sending; the first start keeps its time."""
    tx.execute(
        update(run_table)
        .where(run_table.c.name == name, run_table.c.state.in_([RunState.PLANNED, RunState.PAUSED]))
        .values(
            state=RunState.SENDING,
            reason=None,
            started_at=func.coalesce(run_table.c.started_at, literal(now, Timestamp)),
        )
    )


def pause_run(tx: Connection, name: str, reason: str) -> None:
    """Stop a run for a reason; every worker sees it with its next heartbeat."""
    tx.execute(
        update(run_table)
        .where(run_table.c.name == name, run_table.c.state == RunState.SENDING)
        .values(state=RunState.PAUSED, reason=reason)
    )


def pause_run_left_alone(tx: Connection, name: str, *, worker: str, alive_since: datetime, reason: str) -> None:
    """Pause a run that a worker leaves, unless another live worker goes on with it."""
    others = exists().where(
        worker_table.c.run == name, worker_table.c.id != worker, worker_table.c.heartbeat_at > alive_since
    )
    if not tx.execute(select(others)).scalar_one():
        pause_run(tx, name, reason)


def finish_run(tx: Connection, name: str, now: datetime) -> bool:
    """Finish a run whose leases are all settled; False where something is left or it is not sending."""
    unsettled = exists().where(lease_table.c.run == name, lease_table.c.settled_at.is_(None))
    done = tx.execute(
        update(run_table)
        .where(run_table.c.name == name, run_table.c.state == RunState.SENDING, ~unsettled)
        .values(state=RunState.FINISHED, finished_at=now)
    )
    return done.rowcount == 1
