"""Leases: who owns which rows of a plan, under which epoch.

Ownership is decided by the epoch alone, never by a clock: taking a lease raises its epoch, and records of an
older epoch are refused by the statement that writes them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, case, delete, func, insert, literal, null, or_, select, update

from engine.ledger.journal import Outcome
from engine.ledger.schema import RunState, journal_table, lease_table, run_table, worker_table


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease under its owner's epoch: the key of everything that is recorded for it."""

    run: str
    ordinal: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a lease's rows."""

    counts: dict[Outcome, int]
    outcomes_file: str
    outcomes_digest: str


@dataclass(frozen=True, slots=True)
class LeaseState:
    """A lease as the ledger knows it; `settlement` is None while it is open."""

    ordinal: int
    rows: int
    worker: str | None
    epoch: int
    settlement: Settlement | None
    settled_at: datetime | None = None


def take_lease(
    tx: Connection, run: str, *, worker: str, alive_since: datetime, skipped: Collection[int] = ()
) -> Lease | None:
    """Take the next lease that nobody alive owns; those begun by others first. None where there is none.

    Args:
        tx: a write transaction.
        run: its name; it must be sending.
        worker: the new owner.
        alive_since: an owner whose last heartbeat is older counts as dead.
        skipped: ordinals that are not wanted now.
    """
    live_workers = select(worker_table.c.id).where(worker_table.c.heartbeat_at > alive_since)
    next_ordinal = (
        select(lease_table.c.ordinal)
        .join(run_table, run_table.c.name == lease_table.c.run)
        .where(
            lease_table.c.run == run,
            lease_table.c.settled_at.is_(None),
            lease_table.c.ordinal.not_in(skipped),
            run_table.c.state == RunState.SENDING,
            or_(lease_table.c.worker.is_(None), lease_table.c.worker.not_in(live_workers)),
        )
        .order_by(case((lease_table.c.epoch > 0, 0), else_=1), lease_table.c.ordinal)
        .limit(1)
        .scalar_subquery()
    )
    taken = tx.execute(
        update(lease_table)
        .where(lease_table.c.run == run, lease_table.c.ordinal == next_ordinal)
        .values(worker=worker, epoch=lease_table.c.epoch + 1)
        .returning(lease_table.c.ordinal, lease_table.c.epoch)
    ).one_or_none()
    return None if taken is None else Lease(run, taken.ordinal, taken.epoch)


def release_lease(tx: Connection, lease: Lease) -> None:
    """Give an unfinished lease back; its journal stays for the next owner."""
    tx.execute(update(lease_table).where(_is_owned(lease)).values(worker=None))


def append_journal(tx: Connection, lease: Lease, *, sequence: int, entries: bytes) -> bool:
    """Record entries of an open lease; False, and nothing recorded, where the lease has a newer owner."""
    owned = select(
        literal(lease.run), lease_table.c.ordinal, lease_table.c.epoch, literal(sequence), literal(entries)
    ).where(_is_owned(lease))
    return tx.execute(insert(journal_table).from_select(list(journal_table.c.keys()), owned)).rowcount == 1


def read_journal(tx: Connection, run: str, ordinal: int) -> list[bytes]:
    """Read a lease's journal values in order of commit."""
    rows = select(journal_table.c.entries).where(journal_table.c.run == run, journal_table.c.lease == ordinal)
    return list(tx.execute(rows.order_by(journal_table.c.epoch, journal_table.c.sequence)).scalars())


def settle_lease(tx: Connection, lease: Lease, settlement: Settlement, now: datetime) -> bool:
    """Mark a lease settled and drop its journal; False, and nothing changed, where it has a newer owner.

    The outcomes file must be durable before.
    """
    counts = settlement.counts
    settled = tx.execute(
        update(lease_table)
        .where(_is_owned(lease))
        .values(
            settled_at=now,
            sent=counts.get(Outcome.SENT, 0),
            refused=counts.get(Outcome.REFUSED, 0),
            failed=counts.get(Outcome.FAILED, 0),
            in_doubt=counts.get(Outcome.IN_DOUBT, 0),
            outcomes_file=settlement.outcomes_file,
            outcomes_digest=settlement.outcomes_digest,
            worker=null(),
        )
    )
    if settled.rowcount != 1:
        return False
    tx.execute(delete(journal_table).where(journal_table.c.run == lease.run, journal_table.c.lease == lease.ordinal))
    return True


def count_unsettled(tx: Connection, run: str) -> int:
    """Count the leases that are still open or free."""
    unsettled = select(func.count()).where(lease_table.c.run == run, lease_table.c.settled_at.is_(None))
    return tx.execute(unsettled).scalar_one()


def count_free(tx: Connection, run: str) -> int:
    """Count the leases that nobody owns."""
    free = select(func.count()).where(
        lease_table.c.run == run, lease_table.c.settled_at.is_(None), lease_table.c.worker.is_(None)
    )
    return tx.execute(free).scalar_one()


def list_leases(tx: Connection, run: str) -> list[LeaseState]:
    """Read a run's leases, by ordinal."""
    rows = tx.execute(select(lease_table).where(lease_table.c.run == run).order_by(lease_table.c.ordinal))
    return [
        LeaseState(
            ordinal=row.ordinal,
            rows=row.rows,
            worker=row.worker,
            epoch=row.epoch,
            settlement=None
            if row.settled_at is None
            else Settlement(
                {
                    Outcome.SENT: row.sent,
                    Outcome.REFUSED: row.refused,
                    Outcome.FAILED: row.failed,
                    Outcome.IN_DOUBT: row.in_doubt,
                },
                row.outcomes_file,
                row.outcomes_digest,
            ),
            settled_at=row.settled_at,
        )
        for row in rows
    ]


def sum_settled(tx: Connection, run: str) -> dict[Outcome, int]:
    """Add up the outcomes of a run's settled leases."""
    columns = {Outcome(name): lease_table.c[name] for name in ("sent", "refused", "failed", "in_doubt")}
    sums = select(*(func.coalesce(func.sum(column), 0) for column in columns.values())).where(lease_table.c.run == run)
    return dict(zip(columns, tx.execute(sums).one(), strict=True))


def _is_owned(lease: Lease):  # type: ignore[no-untyped-def]  # noqa: ANN202 - SQLAlchemy's clause types say nothing more
    return and_(
        lease_table.c.run == lease.run,
        lease_table.c.ordinal == lease.ordinal,
        lease_table.c.epoch == lease.epoch,
        lease_table.c.settled_at.is_(None),
    )
