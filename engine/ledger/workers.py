"""Workers: who is sending, and whether they still live.

Whether a worker lives is told without comparing clocks of different machines, or two readings of a clock that may
jump: its row carries a counter that grows with every heartbeat, and whoever wants to know watches the counter by
its own monotonic clock. A worker that was never seen before lives until it has been silent for long enough. One whose
process on this machine is gone is known at once by its lock (presence.py). A worker is its random id, and nothing else.
"""

import asyncio
import os
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson
from sqlalchemy import Connection, delete, select, update

from engine.clock import Clock
from engine.ledger.database import Ledger, insert_unless_there
from engine.ledger.presence import is_gone, remove_presence
from engine.ledger.schema import RunState, run_table, worker_table

HEARTBEAT_SECONDS = 1.0
# Between two looks at the others; a longer pause was this process's own, and says nothing of them.
LONGEST_LOOK_SECONDS = 3.0
# A worker that could not write a heartbeat for so long has lost its leases to whoever asks.
SILENCE_SECONDS = 15.0
# By the wall clock, for people alone: `status` has not watched anybody.
ALIVE = timedelta(seconds=SILENCE_SECONDS)
_LONG_GONE = timedelta(days=1)  # their rows are swept; one that wakes writes itself in again


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a worker learns with its heartbeat.

    Attributes:
        paused_by: the person who paused the run: its workers wait; or the guard: they end.
        workers_on_account: how many share the account's rate, at least one.
    """

    state: RunState
    reason: str | None
    workers_on_account: int
    paused_by: str | None = None


@dataclass(slots=True)
class Liveness:
    """What one process knows of who lives: worker -> its last counter, and when that was new.

    Silence is counted only while somebody listens: a process that was stopped, or had no ledger, has heard nothing
    because it did not listen, and workers that slept together must not take each other for dead when they wake.
    """

    seen: dict[str, tuple[int, float]] = field(default_factory=dict)
    _looked_at: float = float("-inf")

    def list_live(self, tx: Connection, monotonic: float, *, account: str | None = None) -> set[str]:
        """Look at all workers; return those that live.

        Args:
            tx: any transaction.
            monotonic: this process's own clock, in seconds.
            account: only those that send for this account.
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
            and account in (None, row.account)
            and not is_gone(row.id)
        }


def find_gone(ledger: Ledger, suspects: Collection[str], clock: Clock) -> frozenset[str]:
    """Watch workers until it is certain of each whether it lives; returns those that do not.

    One that beats shows it with its next heartbeat; one that is silent on another machine takes SILENCE_SECONDS.

    Args:
        ledger: where they beat.
        suspects: their ids; one that nobody knows is gone.
        clock: its monotonic side alone decides.
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
    """Add a worker; first remove those of this machine whose process is gone."""
    _sweep(tx, now)
    _insert(tx, worker, run=run, account=account, now=now)


def _insert(tx: Connection, worker: str, *, run: str, account: str, now: datetime) -> None:
    tx.execute(
        insert_unless_there(tx, worker_table).values(
            id=worker,
            run=run,
            account=account,
            host=socket.gethostname(),
            process=str(os.getpid()),
            heartbeat_at=now,
        )
    )


def beat(  # noqa: PLR0913 - a heartbeat says who, for what, and when by both clocks
    tx: Connection,
    worker: str,
    *,
    run: str,
    account: str,
    now: datetime,
    monotonic: float,
    liveness: Liveness,
    shares: bool = True,
) -> Pulse:
    """Record that a worker lives; learn the run's state and how many share the account's rate.

    A worker that has nothing to send for now does not count for the account (`shares` False): the others get its part.
    """
    table, sends_for = worker_table.c, account if shares else ""
    told = {"heartbeat_at": now, "account": sends_for, "beats": table.beats + 1}
    beaten = tx.execute(update(worker_table).where(table.id == worker).values(told))
    if beaten.rowcount != 1:  # it was silent for so long that its row was swept
        _insert(tx, worker, run=run, account=sends_for, now=now)
    columns = run_table.c
    of_run = select(columns.state, columns.reason, columns.paused_by).where(columns.name == run)
    state, reason, paused_by = tx.execute(of_run).one()
    alive = liveness.list_live(tx, monotonic, account=account)
    return Pulse(RunState(state), reason, max(1, len(alive)), paused_by)


def tell_vitals(tx: Connection, *, worker: str, vitals: Mapping[str, float]) -> None:
    """Leave word of how a worker does: rate, calls in flight, latency."""
    told = orjson.dumps(vitals).decode()
    tx.execute(update(worker_table).where(worker_table.c.id == worker).values(vitals=told))


def read_vitals(tx: Connection, run: str, now: datetime) -> list[dict[str, float]]:
    """Read what a run's live workers told last, for people to look at."""
    live = list_live_workers(tx, run, now)
    told = select(worker_table.c.vitals).where(worker_table.c.id.in_(live), worker_table.c.vitals.is_not(None))
    return [orjson.loads(vitals) for vitals in tx.execute(told.order_by(worker_table.c.id)).scalars()]


def unregister_worker(tx: Connection, worker: str) -> None:
    """Remove a worker that ends."""
    tx.execute(delete(worker_table).where(worker_table.c.id == worker))


def list_runs_of_workers(tx: Connection) -> dict[str, str]:
    """Read which run each worker is of, whether it lives or not: id -> run."""
    return {row.id: row.run for row in tx.execute(select(worker_table.c.id, worker_table.c.run))}


def list_live_workers(tx: Connection, run: str, now: datetime) -> set[str]:
    """Read the ids of a run's workers that seem to live, for people to look at."""
    return list_all_live_workers(tx, now).get(run, set())


def list_all_live_workers(tx: Connection, now: datetime) -> dict[str, set[str]]:
    """Read the workers of all runs that seem to live, for people to look at: run -> ids."""
    fresh = select(worker_table).where(worker_table.c.heartbeat_at > now - ALIVE)
    found: dict[str, set[str]] = {}
    for row in tx.execute(fresh):
        if not is_gone(row.id):
            found.setdefault(row.run, set()).add(row.id)
    return found


def _sweep(tx: Connection, now: datetime) -> None:
    table = worker_table.c
    dead = [worker for worker in tx.execute(select(table.id)).scalars() if is_gone(worker)]
    if dead:
        tx.execute(delete(worker_table).where(table.id.in_(dead)))
    for worker in dead:
        remove_presence(worker)
    tx.execute(delete(worker_table).where(table.heartbeat_at < now - _LONG_GONE))
