"""Workers: who is sending, and whether they still live."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import orjson
from sqlalchemy import Connection, delete, func, insert, select, update

from engine.ledger.schema import RunState, run_table, worker_table

HEARTBEAT_SECONDS = 1.0
# A worker that could not write a heartbeat for so long has lost its leases to whoever asks.
ALIVE = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a worker learns with its heartbeat."""

    state: RunState
    reason: str | None
    workers_on_account: int


def register_worker(tx: Connection, worker: str, *, run: str, account: str, now: datetime) -> None:
    """Add a worker; on this host, first remove those whose process is gone, so that their leases are free at once."""
    _retire_dead(tx)
    tx.execute(
        insert(worker_table).values(
            id=worker,
            run=run,
            account=account,
            host=socket.gethostname(),
            process=describe_process(os.getpid()),
            heartbeat_at=now,
        )
    )


def beat(  # noqa: PLR0913 - one for each thing said
    tx: Connection, worker: str, *, run: str, account: str, now: datetime, shares: bool = True
) -> Pulse:
    """Record that a worker lives; learn the run's state and how many share the account's rate (at least one).

    A worker that has nothing to send for now does not count for the account (`shares` False): the others get its part.
    """
    told = {"heartbeat_at": now, "account": account if shares else ""}
    tx.execute(update(worker_table).where(worker_table.c.id == worker).values(told))
    state, reason = tx.execute(select(run_table.c.state, run_table.c.reason).where(run_table.c.name == run)).one()
    alive = select(func.count()).where(worker_table.c.account == account, worker_table.c.heartbeat_at > now - ALIVE)
    return Pulse(RunState(state), reason, max(1, tx.execute(alive).scalar_one()))


def tell_vitals(tx: Connection, *, worker: str, vitals: Mapping[str, float]) -> None:
    """Leave word of how a worker does: rate, calls in flight, latency."""
    told = orjson.dumps(vitals).decode()
    tx.execute(update(worker_table).where(worker_table.c.id == worker).values(vitals=told))


def read_vitals(tx: Connection, run: str, now: datetime) -> list[dict[str, float]]:
    """Read what a run's live workers told last."""
    alive = select(worker_table.c.vitals).where(
        worker_table.c.run == run, worker_table.c.heartbeat_at > now - ALIVE, worker_table.c.vitals.is_not(None)
    )
    return [orjson.loads(vitals) for vitals in tx.execute(alive.order_by(worker_table.c.id)).scalars()]


def unregister_worker(tx: Connection, worker: str) -> None:
    """Remove a worker that ends."""
    tx.execute(delete(worker_table).where(worker_table.c.id == worker))


def list_live_workers(tx: Connection, run: str, now: datetime) -> set[str]:
    """Read the ids of a run's workers that live."""
    _retire = select(worker_table).where(worker_table.c.run == run, worker_table.c.heartbeat_at > now - ALIVE)
    host = socket.gethostname()
    return {row.id for row in tx.execute(_retire) if row.host != host or _is_running(row.process)}


def _retire_dead(tx: Connection) -> None:
    here = select(worker_table.c.id, worker_table.c.process).where(worker_table.c.host == socket.gethostname())
    dead = [row.id for row in tx.execute(here) if not _is_running(row.process)]
    if dead:
        tx.execute(delete(worker_table).where(worker_table.c.id.in_(dead)))


def describe_process(pid: int) -> str:
    """Name a process so that its pid's next owner is not taken for it: `PID/START`.

    START is the kernel's start time in ticks since boot, with the boot's id; empty where there is no /proc, and
    such a worker is judged by its heartbeat alone.
    """
    with suppress(OSError):
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{pid}/{ticks}@{boot}"
    return f"{pid}/"


def _is_running(process: str) -> bool:
    pid, _, start = process.partition("/")
    return not start or describe_process(int(pid)) == process
