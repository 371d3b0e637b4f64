"""Workers: which processes send, and whether each is still alive.

Liveness never compares the clocks of two machines, or two readings of a clock that may jump. Each worker's row has a
counter that grows with every heartbeat; an observer watches the counter by its own monotonic clock. A worker that the
observer has not seen before counts as alive until it has been silent for SILENCE_SECONDS. A process of this machine
that ended is known at once by its lock (worker_locks.py). A worker is identified by its random id and nothing else.
"""

import asyncio
import os
import socket
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson
from msgspec import Struct, field
from sqlalchemy import Connection, delete, select, update

from engine.clock import Clock
from engine.errors import DataError
from engine.ledger.database import Ledger, insert_if_absent
from engine.ledger.schema import RunState, run_table, worker_table
from engine.ledger.values.documents import read_document
from engine.ledger.worker_locks import is_process_gone, remove_worker_lock

HEARTBEAT_SECONDS = 1.0
# Between two observations of the other workers; a longer gap means that this process was suspended.
LONGEST_LOOK_SECONDS = 3.0
# A worker that writes no heartbeat for this long loses its leases to the next worker that takes one.
SILENCE_SECONDS = 15.0
# By the wall clock, for display only: `status` has not watched the workers.
ALIVE = timedelta(seconds=SILENCE_SECONDS)
_LONG_GONE = timedelta(days=1)  # older rows are deleted; a worker that wakes up inserts its row again
# The figures that every version records.
_VITALS = frozenset({"rate_limit", "in_flight", "concurrency", "latency_ms", "throttles", "done", "lost", "refused"})


class HeartbeatReply(Struct, frozen=True):
    """The state that a worker reads with its heartbeat.

    Attributes:
        state: the run's.
        reason: why the run is paused or cancelled.
        workers_on_account: how many workers share the account's rate, at least one.
        workers_of_campaign: how many share the campaign's own limits: those on any account that the run sends through.
        paused_by: the person who paused the run, whose workers wait; or the guard, whose workers end.
    """

    state: RunState
    reason: str | None
    workers_on_account: int
    workers_of_campaign: int
    paused_by: str | None = None


class Liveness(Struct):
    """What one process has observed of other workers: worker -> its last counter, and when that was new.

    Silence counts only while this process reads the ledger. A process that was suspended or had no ledger starts the
    count again, so that workers that were suspended together do not treat each other as dead when they resume.
    """

    seen: dict[str, tuple[int, float]] = field(default_factory=dict)
    _looked_at: float = float("-inf")

    def list_live(self, tx: Connection, monotonic: float, *, accounts: Collection[str] | None = None) -> set[str]:
        """Read the heartbeats of all workers and return the ids of those that are alive.

        Args:
            tx: any transaction.
            monotonic: this process's own clock, in seconds.
            accounts: only those that send for one of these.
        """
        table = worker_table.c
        rows = tx.execute(select(table.id, table.account, table.beats)).all()
        unheard = max(0.0, monotonic - self._looked_at - LONGEST_LOOK_SECONDS)
        self._looked_at = monotonic
        known = {row.id: (was[0], was[1] + unheard) if (was := self.seen.get(row.id)) else None for row in rows}
        self.seen = {
            row.id: was if (was := known[row.id]) is not None and was[0] == row.beats else (row.beats, monotonic)
            for row in rows
        }
        return {
            row.id
            for row in rows
            if monotonic - self.seen[row.id][1] < SILENCE_SECONDS
            and (accounts is None or row.account in accounts)
            and not is_process_gone(row.id)
        }


def find_gone_workers(ledger: Ledger, suspects: Collection[str], clock: Clock) -> frozenset[str]:
    """Watch workers until it is certain whether each is alive; return the ids of those that are gone.

    A worker that is alive shows it with its next heartbeat. A silent one on another machine takes SILENCE_SECONDS.

    Args:
        ledger: where they write their heartbeats.
        suspects: their ids; a worker that is not in the ledger is gone.
        clock: only its monotonic time decides.
    """
    liveness, alive = Liveness(), set[str]()
    with ledger.read() as tx:
        watched = liveness.list_live(tx, clock.monotonic()) & set(suspects)
    first = {worker: liveness.seen[worker][0] for worker in watched}
    while watched:
        asyncio.run(clock.sleep(HEARTBEAT_SECONDS / 2))
        with ledger.read() as tx:
            watched &= liveness.list_live(tx, clock.monotonic())
        alive |= {worker for worker in watched if liveness.seen[worker][0] != first[worker]}
        watched -= alive
    return frozenset(suspects) - alive


def register_worker(tx: Connection, worker: str, *, run: str, account: str, now: datetime) -> None:
    """Add a worker; first remove the workers of this machine whose process is gone."""
    _sweep(tx, now)
    _insert(tx, worker, run=run, account=account, now=now)


def _insert(tx: Connection, worker: str, *, run: str, account: str, now: datetime) -> None:
    tx.execute(
        insert_if_absent(tx, worker_table).values(
            id=worker,
            run=run,
            account=account,
            host=socket.gethostname(),
            process=str(os.getpid()),
            heartbeat_at=now,
        )
    )


def write_heartbeat(  # noqa: PLR0913 - a heartbeat has a worker, a run, an account and two clocks
    tx: Connection,
    worker: str,
    *,
    run: str,
    account: str,
    now: datetime,
    monotonic: float,
    liveness: Liveness,
    shares: bool = True,
    accounts: Collection[str] = (),
) -> HeartbeatReply:
    """Record that a worker is alive; return the run's state and how many workers share the account's rate.

    A worker that has nothing to send now does not count for the account (`shares` False): the others get its share.
    Of a run that sends through several regions, `accounts` has the accounts of all.
    """
    table, sends_for = worker_table.c, account if shares else ""
    values = {"heartbeat_at": now, "account": sends_for, "beats": table.beats + 1}
    updated = tx.execute(update(worker_table).where(table.id == worker).values(values))
    if updated.rowcount != 1:  # its row was deleted, because it was silent for too long
        _insert(tx, worker, run=run, account=sends_for, now=now)
    columns = run_table.c
    of_run = select(columns.state, columns.reason, columns.paused_by).where(columns.name == run)
    state, reason, paused_by = tx.execute(of_run).one()
    alive = max(1, len(liveness.list_live(tx, monotonic, accounts={account})))
    of_campaign = len(liveness.list_live(tx, monotonic, accounts=accounts)) if len(accounts) > 1 else alive
    return HeartbeatReply(RunState(state), reason, alive, max(alive, of_campaign), paused_by)


def write_vitals(tx: Connection, *, worker: str, vitals: Mapping[str, Any]) -> None:
    """Record a worker's own figures for `status`: rate, calls in flight, latency."""
    document = orjson.dumps(vitals).decode()
    tx.execute(update(worker_table).where(worker_table.c.id == worker).values(vitals=document))


def read_vitals(tx: Connection, run: str, now: datetime) -> list[dict[str, Any]]:
    """Read the figures that a run's live workers recorded last, for display only.

    Those of another version, which lack a figure, and damaged ones are left out.
    """
    live = list_live_workers(tx, run, now)
    recorded = select(worker_table.c.vitals).where(worker_table.c.id.in_(live), worker_table.c.vitals.is_not(None))
    found = [_read_vitals(vitals) for vitals in tx.execute(recorded.order_by(worker_table.c.id)).scalars()]
    return [vitals for vitals in found if vitals.keys() >= _VITALS]


def _read_vitals(text: str) -> dict[str, Any]:
    try:
        return read_document(text, "")
    except DataError:
        return {}


def unregister_worker(tx: Connection, worker: str) -> None:
    """Remove a worker that ends."""
    tx.execute(delete(worker_table).where(worker_table.c.id == worker))


def list_worker_runs(tx: Connection) -> dict[str, str]:
    """Read the run of every worker, alive or not: worker id -> run."""
    return {row.id: row.run for row in tx.execute(select(worker_table.c.id, worker_table.c.run))}


def list_live_workers(tx: Connection, run: str, now: datetime) -> set[str]:
    """Read the ids of a run's workers that seem to be alive, for display only."""
    return list_all_live_workers(tx, now).get(run, set())


def list_all_live_workers(tx: Connection, now: datetime) -> dict[str, set[str]]:
    """Read the workers of all runs that seem to be alive, for display only: run -> worker ids."""
    fresh = select(worker_table).where(worker_table.c.heartbeat_at > now - ALIVE)
    found: dict[str, set[str]] = {}
    for row in tx.execute(fresh):
        if not is_process_gone(row.id):
            found.setdefault(row.run, set()).add(row.id)
    return found


def find_waiting(tx: Connection, live: Mapping[str, Collection[str]]) -> dict[str, datetime]:
    """Find the runs all of whose live workers wait, such as for the sending window or a quota.

    Args:
        tx: a read transaction.
        live: run -> ids of its live workers.

    Returns:
        Run -> the last heartbeat of its workers.
    """
    table, found = worker_table.c, dict[str, datetime]()
    busy = set[str]()
    chosen = select(table.run, table.heartbeat_at, table.vitals)
    for row in tx.execute(chosen.where(table.id.in_([one for ids in live.values() for one in ids]))):
        if row.vitals is None or _read_vitals(row.vitals).get("waits_for") is None:
            busy.add(row.run)
        found[row.run] = max(row.heartbeat_at, found.get(row.run, row.heartbeat_at))
    return {run: at for run, at in found.items() if run not in busy}


def _sweep(tx: Connection, now: datetime) -> None:
    table = worker_table.c
    dead = [worker for worker in tx.execute(select(table.id)).scalars() if is_process_gone(worker)]
    if dead:
        tx.execute(delete(worker_table).where(table.id.in_(dead)))
    for worker in dead:
        remove_worker_lock(worker)
    tx.execute(delete(worker_table).where(table.heartbeat_at < now - _LONG_GONE))
