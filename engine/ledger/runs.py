"""Runs: one row each, and the states they go through."""

from collections.abc import Collection, Sequence
from datetime import datetime

import orjson
from msgspec import Struct
from sqlalchemy import Connection, delete, exists, func, insert, literal, select, update
from sqlalchemy.engine import Row

from engine.ledger.database import insert_if_absent
from engine.ledger.facts import FACT_COLUMNS, RunFacts, from_fact_columns, to_fact_columns
from engine.ledger.notices.occurrences import NoticeEvent, record_occurrence
from engine.ledger.schema import RunState, Timestamp, lease_table, run_table, worker_table
from engine.ledger.values.documents import make_damage, read_document

OVER = (RunState.FINISHED, RunState.CANCELLED)
GUARD = "guard"  # the guard paused the run, and not a person: workers end instead of waiting


class Run(Struct, frozen=True):
    """A run as the ledger has it; `facts` is None for a run of an earlier version whose facts were not needed yet."""

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
    paused_by: str | None = None
    next_manifest_digest: str | None = None
    pruned_at: datetime | None = None
    suspect: bool = False
    store: str | None = None
    store_place: str | None = None
    limited: bool = False
    facts: RunFacts | None = None


class RunFilter(Struct, frozen=True):
    """Chooses runs of the list.

    Attributes:
        words: parts of the run's name, which has all of them.
        state: None for every state.
    """

    words: Sequence[str] = ()
    state: RunState | None = None


def insert_run(tx: Connection, run: Run, *, lease_rows: list[int]) -> bool:
    """Add a run with its leases; False where it is there already (another launch was first)."""
    inserted = tx.execute(
        insert_if_absent(tx, run_table).values(
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
            store=run.store,
            store_place=run.store_place,
            limited=run.limited,
            **to_fact_columns(run.facts),
        )
    )
    if inserted.rowcount != 1:
        return False
    if lease_rows:
        tx.execute(
            insert(lease_table),
            [{"run": run.name, "ordinal": i, "rows": rows, "epoch": 0} for i, rows in enumerate(lease_rows)],
        )
    return True


def remove_unstarted_run(tx: Connection, name: str, manifest_digest: str) -> bool:
    """Remove a run that was never started, as if it had not been planned; False if it is another or was started."""
    begun = exists().where(lease_table.c.run == name, lease_table.c.epoch > 0)
    joined = exists().where(worker_table.c.run == name)
    is_it = (run_table.c.name == name, run_table.c.manifest_digest == manifest_digest, ~begun, ~joined)
    found = select(run_table.c.name).where(*is_it, run_table.c.state == RunState.PLANNED).with_for_update()
    if tx.execute(found).one_or_none() is None:
        return False
    tx.execute(delete(lease_table).where(lease_table.c.run == name))
    tx.execute(delete(run_table).where(run_table.c.name == name))
    return True


def find_run(tx: Connection, name: str) -> Run | None:
    """Read one run."""
    row = tx.execute(select(run_table).where(run_table.c.name == name)).one_or_none()
    return None if row is None else _to_run(row)


def find_last_run(tx: Connection, campaign: str, *, sandbox: bool, but: str) -> Run | None:
    """Read a campaign's newest run on its whole audience, without those that were cancelled; None where there is none.

    Args:
        tx: any transaction.
        campaign: its name.
        sandbox: among the runs on the embedded sandbox, or among the others.
        but: a run to leave out.
    """
    table = run_table.c
    found = select(run_table).where(
        table.name.startswith(f"{campaign}/", autoescape=True),
        table.name != but,
        table.sandbox.is_(sandbox),
        table.limited.is_(False),
        table.state != RunState.CANCELLED,
    )
    row = tx.execute(found.order_by(table.created_at.desc()).limit(1)).one_or_none()
    return None if row is None else _to_run(row)


def list_runs(tx: Connection) -> list[Run]:
    """Read all runs, the newest first."""
    return [_to_run(row) for row in tx.execute(select(run_table).order_by(run_table.c.created_at.desc()))]


def list_some_runs(tx: Connection, which: RunFilter, *, offset: int, limit: int) -> tuple[list[Run], int]:
    """Read a page of the runs that a filter lets through, the newest first; and how many there are on all pages."""
    table = run_table.c
    tests = [table.name.icontains(word, autoescape=True) for word in which.words]
    if which.state is not None:
        tests.append(table.state == which.state)
    total = tx.execute(select(func.count()).select_from(run_table).where(*tests)).scalar_one()
    page = select(run_table).where(*tests).order_by(table.created_at.desc(), table.name).offset(offset).limit(limit)
    return [_to_run(row) for row in tx.execute(page)], total


def count_by_state(tx: Connection) -> dict[RunState, int]:
    """Count all runs by their state."""
    counted = select(run_table.c.state, func.count()).group_by(run_table.c.state)
    return {RunState(state): int(count) for state, count in tx.execute(counted)}


def list_runs_without_facts(tx: Connection) -> list[Run]:
    """Read the runs whose facts are not known yet, by name."""
    missing = select(run_table).where(run_table.c.sender_domain.is_(None))
    return [_to_run(row) for row in tx.execute(missing.order_by(run_table.c.name))]


def _read_state(run: str, state: str) -> RunState:
    try:
        return RunState(state)
    except ValueError:
        raise make_damage(f"the state of {run}") from None


def _read_excluded(run: str, text: str) -> dict[str, int]:
    found = read_document(text, f"the exclusions of {run}")
    if any(not isinstance(count, int) for count in found.values()):
        raise make_damage(f"the exclusions of {run}")
    return found


def _to_run(row: Row[tuple[object, ...]]) -> Run:
    columns = row._mapping  # noqa: SLF001 - SQLAlchemy's public name
    values = {name: value for name, value in columns.items() if name not in FACT_COLUMNS}
    name = str(columns["name"])
    values |= {"state": _read_state(name, columns["state"]), "excluded": _read_excluded(name, columns["excluded"])}
    return Run(**values, facts=from_fact_columns(columns))


def start_run(tx: Connection, name: str, now: datetime) -> None:
    """A worker begins: planned or paused becomes sending; the first start keeps its time.

    What a person or the guard paused stays paused until a person resumes it.
    """
    before = _lock_state(tx, name)
    begun = tx.execute(
        update(run_table)
        .where(
            run_table.c.name == name,
            run_table.c.state.in_([RunState.PLANNED, RunState.PAUSED]),
            run_table.c.paused_by.is_(None),
        )
        .values(
            state=RunState.SENDING,
            reason=None,
            finished_at=None,
            started_at=func.coalesce(run_table.c.started_at, literal(now, Timestamp)),
        )
    )
    if begun.rowcount == 1:
        event = NoticeEvent.STARTED if before is RunState.PLANNED else NoticeEvent.RESUMED
        record_occurrence(tx, name, event, RunState.SENDING)


def _lock_state(tx: Connection, name: str) -> RunState | None:
    """Hold a run's row until the transaction ends, and read its state."""
    found = tx.execute(select(run_table.c.state).where(run_table.c.name == name).with_for_update()).scalar_one_or_none()
    return None if found is None else RunState(found)


def pause_run(tx: Connection, name: str, reason: str, *, paused_by: str | None = None) -> None:
    """Pause a run for a reason; every worker sees it with its next heartbeat.

    With `paused_by` (`GUARD`) it continues only after a person has resumed it.
    """
    paused = tx.execute(
        update(run_table)
        .where(run_table.c.name == name, run_table.c.state == RunState.SENDING)
        .values(state=RunState.PAUSED, reason=reason, paused_by=paused_by)
    )
    if paused.rowcount == 1:
        event = NoticeEvent.GUARD if paused_by == GUARD else NoticeEvent.PAUSED
        record_occurrence(tx, name, event, RunState.PAUSED, reason)


def pause_run_by_person(tx: Connection, name: str, *, who: str, reason: str) -> bool:
    """Pause a run for a person; it stays paused until `resume_run`. False if it is over."""
    before = _lock_state(tx, name)
    held = tx.execute(
        update(run_table)
        .where(run_table.c.name == name, run_table.c.state.not_in(OVER))
        .values(state=RunState.PAUSED, reason=reason, paused_by=who)
    )
    if held.rowcount == 1 and before is not RunState.PAUSED:
        record_occurrence(tx, name, NoticeEvent.PAUSED, RunState.PAUSED, reason)
    return held.rowcount == 1


def resume_run(tx: Connection, name: str, now: datetime) -> bool:
    """Resume a paused run; False if it is not paused. A run that was paused before its start starts now."""
    continued = tx.execute(
        update(run_table)
        .where(run_table.c.name == name, run_table.c.state == RunState.PAUSED)
        .values(
            state=RunState.SENDING,
            reason=None,
            paused_by=None,
            started_at=func.coalesce(run_table.c.started_at, literal(now, Timestamp)),
        )
    )
    if continued.rowcount == 1:
        record_occurrence(tx, name, NoticeEvent.RESUMED, RunState.SENDING)
    return continued.rowcount == 1


def cancel_run(tx: Connection, name: str, *, reason: str, now: datetime) -> bool:
    """Cancel a run permanently, whatever is left unsent; False if it is over."""
    cancelled = tx.execute(
        update(run_table)
        .where(run_table.c.name == name, run_table.c.state.not_in(OVER))
        .values(state=RunState.CANCELLED, reason=reason, paused_by=None, finished_at=now)
    )
    if cancelled.rowcount == 1:
        record_occurrence(tx, name, NoticeEvent.FINISHED, RunState.CANCELLED, reason)
    return cancelled.rowcount == 1


def lock_run(tx: Connection, name: str) -> None:
    """Hold a run's row until the transaction ends.

    One transaction may check for open leases while another one opens a lease again: the second sees the first's change.
    """
    tx.execute(select(run_table.c.name).where(run_table.c.name == name).with_for_update())


def reopen_run(tx: Connection, name: str, reason: str) -> None:
    """Pause a finished run that has recipients to send to again; the next launch resumes it."""
    reopened = tx.execute(
        update(run_table)
        .where(run_table.c.name == name, run_table.c.state == RunState.FINISHED)
        .values(state=RunState.PAUSED, reason=reason)
    )
    if reopened.rowcount == 1:
        record_occurrence(tx, name, NoticeEvent.PAUSED, RunState.PAUSED, reason)


def clear_suspect(tx: Connection, name: str) -> None:
    """Record that a person has settled the recipients whose outcome a restore lost."""
    tx.execute(update(run_table).where(run_table.c.name == name).values(suspect=False))


def set_next_manifest(tx: Connection, name: str, digest: str) -> None:
    """Record that run.json is about to be rewritten: from now on, both digests are valid."""
    tx.execute(update(run_table).where(run_table.c.name == name).values(next_manifest_digest=digest))


def set_manifest(tx: Connection, name: str, digest: str) -> None:
    """Record that run.json was rewritten."""
    values = {"manifest_digest": digest, "next_manifest_digest": None}
    tx.execute(update(run_table).where(run_table.c.name == name).values(values))


def mark_pruned(tx: Connection, name: str, now: datetime) -> None:
    """Record that a run's files were removed."""
    tx.execute(update(run_table).where(run_table.c.name == name).values(pruned_at=now))


def pause_run_if_abandoned(tx: Connection, name: str, *, worker: str, live: Collection[str], reason: str) -> None:
    """Pause a run when a worker ends, unless another live worker continues it."""
    lock_run(tx, name)  # of two workers that end at once, one must see that it is the last
    others = exists().where(worker_table.c.run == name, worker_table.c.id != worker, worker_table.c.id.in_(live))
    if not tx.execute(select(others)).scalar_one():
        pause_run(tx, name, reason)


def finish_run(tx: Connection, name: str, now: datetime, *, states: Collection[RunState] = (RunState.SENDING,)) -> bool:
    """Finish a run whose leases are all settled; False if one is not, or if the run is in none of `states`."""
    lock_run(tx, name)
    unsettled = exists().where(lease_table.c.run == name, lease_table.c.settled_at.is_(None))
    done = tx.execute(
        update(run_table)
        .where(run_table.c.name == name, run_table.c.state.in_(states), ~unsettled)
        .values(
            state=RunState.FINISHED,
            reason=None,
            finished_at=func.coalesce(run_table.c.finished_at, literal(now, Timestamp)),
        )
    )
    if done.rowcount == 1:
        record_occurrence(tx, name, NoticeEvent.FINISHED, RunState.FINISHED)
    return done.rowcount == 1
