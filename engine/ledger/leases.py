"""Leases: who owns which rows of a plan, under which epoch.

Ownership is decided by the epoch alone, never by a clock: taking a lease raises its epoch, and records of an
older epoch are refused by the statement that writes them.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    Connection,
    Insert,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.engine import Row
from sqlalchemy.sql.compiler import SQLCompiler

from engine.errors import DataError
from engine.ledger.database import CLOCK, insert_if_absent
from engine.ledger.journal import Outcome, Replay, replay
from engine.ledger.schema import RunState, journal_table, lease_table, run_table


class Lease(Struct, frozen=True):
    """A lease under its owner's epoch: the key of everything that is recorded for it."""

    run: str
    ordinal: int
    epoch: int


class Settlement(Struct, frozen=True):
    """The outcomes of a settled lease's rows."""

    counts: dict[Outcome, int]
    outcomes_file: str
    outcomes_digest: str


_COUNTS: dict[Outcome, str] = {
    outcome: outcome.value for outcome in Outcome if outcome is not Outcome.UNSENT
}  # outcome -> column


class LeaseState(Struct, frozen=True):
    """A lease as the ledger has it; `settlement` is None while it is open."""

    ordinal: int
    rows: int
    worker: str | None
    epoch: int
    settlement: Settlement | None
    settled_at: datetime | None = None


def take_lease(  # noqa: PLR0913 - a lease is chosen by its new owner, the live workers and the ordinals to skip
    tx: Connection,
    run: str,
    *,
    worker: str,
    live: Collection[str],
    holding: Collection[int] = (),
    skipped: Collection[int] = (),
    last: int | None = None,
) -> Lease | None:
    """Take the next lease without a live owner, first those that another worker has started; None if there is none.

    Two workers that call this at once get two leases: the row is locked while it is taken, and locked rows are skipped.

    Args:
        tx: a write transaction.
        run: its name; it must be sending.
        worker: the new owner.
        live: the workers that live; a lease of any other is taken over.
        holding: the ordinals that `worker` holds in memory. A lease that is its own only in the ledger was taken by
            a transaction whose answer was lost, and is taken again.
        skipped: ordinals to skip now.
        last: the last ordinal that may be taken; None for any.
    """
    next_ordinal = (
        select(lease_table.c.ordinal)
        .join(run_table, run_table.c.name == lease_table.c.run)
        .where(
            lease_table.c.run == run,
            lease_table.c.settled_at.is_(None),
            lease_table.c.ordinal.not_in(skipped),
            true() if last is None else lease_table.c.ordinal <= last,
            run_table.c.state == RunState.SENDING,
            or_(
                lease_table.c.worker.is_(None),
                lease_table.c.worker.not_in({*live, worker}),  # the new owner is alive: it may just have been resumed
                and_(lease_table.c.worker == worker, lease_table.c.ordinal.not_in(holding)),
            ),
        )
        .order_by(case((lease_table.c.epoch > 0, 0), else_=1), lease_table.c.ordinal)
        .limit(1)
        .with_for_update(of=lease_table, skip_locked=True)
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
    """Release an unfinished lease; its journal stays for the next owner."""
    tx.execute(update(lease_table).where(_is_owned(lease)).values(worker=None))


def append_journal(tx: Connection, lease: Lease, *, sequence: int, entries: bytes) -> bool:
    """Record entries of an open lease; False, and nothing recorded, where the lease has a newer owner.

    The lease's row is locked against a change of owner until the transaction ends (FOR SHARE; an SQLite transaction
    is alone). The same sequence again changes nothing: the answer to the first attempt may have been lost.
    """
    statement = _APPENDING.get(tx.dialect.name)
    if statement is None:
        statement = _APPENDING[tx.dialect.name] = _write_append(tx).compile(dialect=tx.dialect)
    values = {"to": lease.run, "at": lease.ordinal, "under": lease.epoch, "number": sequence, "value": entries}
    names = statement.positiontup  # None where the driver takes parameters by name
    parameters = values if names is None else tuple(values[name] for name in names)
    if tx.exec_driver_sql(statement.string, parameters).rowcount == 1:
        return True
    still_owned = select(lease_table.c.ordinal).where(_is_owned(lease)).with_for_update(read=True)
    return tx.execute(still_owned).one_or_none() is not None


def _write_append(tx: Connection) -> Insert:
    lease, journal = lease_table.c, journal_table.c
    owned = (
        select(
            lease.run,
            lease.ordinal,
            lease.epoch,
            bindparam("number", type_=journal.sequence.type),
            bindparam("value", type_=journal.entries.type),
            literal_column(CLOCK[tx.dialect.name]),
        )
        .where(
            lease.run == bindparam("to"),
            lease.ordinal == bindparam("at"),
            lease.epoch == bindparam("under"),
            lease.settled_at.is_(None),
        )
        .with_for_update(read=True, of=lease_table)
    )
    return insert_if_absent(tx, journal_table).from_select(list(journal.keys()), owned)


# Dialect -> the text of append_journal's statement: every dispatch waits for it. SQLAlchemy builds it in 0.3 ms, and
# needs twice as long to execute the built statement as its text.
_APPENDING: dict[str, SQLCompiler] = {}


def replay_lease(tx: Connection, run: str, ordinal: int) -> Replay:
    """Replay a lease's journal.

    Raises:
        DataError: a value of it is damaged.
    """
    journal = journal_table.c
    rows = select(journal.entries, journal.at).where(journal.run == run, journal.lease == ordinal)
    recorded = [(row.entries, row.at) for row in tx.execute(rows.order_by(journal.epoch, journal.sequence))]
    return replay_entries(recorded, run, ordinal)


def replay_entries(recorded: Sequence[tuple[bytes, datetime | None]], run: str, ordinal: int) -> Replay:
    """Replay a lease's journal: its entries with their times, in order of commit.

    Raises:
        DataError: an entry is damaged.
    """
    times = [None if at is None else at.timestamp() for _, at in recorded]
    try:
        return replay((entries for entries, _ in recorded), times)
    except ValueError as error:
        raise DataError(
            f"the journal of lease {ordinal} of {run} is damaged: {error}",
            where="the ledger",
            remedy="set the ledger aside and restore a backup, then run the same command again; nothing was sent",
        ) from error


def settle_lease(tx: Connection, lease: Lease, settlement: Settlement, now: datetime) -> bool:
    """Mark a lease settled and delete its journal; False, and nothing changed, where it has a newer owner.

    The outcomes file must be durable before. Settling again with the same file returns True and changes nothing.
    """
    settled = tx.execute(
        update(lease_table).where(_is_owned(lease)).values(settled_at=now, worker=null(), **_to_values(settlement))
    )
    if settled.rowcount != 1:
        return _is_settled_with(tx, lease, settlement)
    tx.execute(delete(journal_table).where(journal_table.c.run == lease.run, journal_table.c.lease == lease.ordinal))
    return True


def _is_settled_with(tx: Connection, lease: Lease, settlement: Settlement) -> bool:
    same = and_(
        lease_table.c.run == lease.run,
        lease_table.c.ordinal == lease.ordinal,
        lease_table.c.epoch == lease.epoch,
        lease_table.c.settled_at.is_not(None),
        lease_table.c.outcomes_digest == settlement.outcomes_digest,
    )
    return tx.execute(select(lease_table.c.ordinal).where(same)).one_or_none() is not None


def lock_lease(tx: Connection, run: str, state: LeaseState) -> bool:
    """Lock a lease's row until the transaction ends, so that its journal does not change; False if it has changed."""
    table = lease_table.c
    same = (table.run == run, table.ordinal == state.ordinal, table.epoch == state.epoch)
    return tx.execute(select(table.ordinal).where(*same).with_for_update()).one_or_none() is not None


def reopen_lease(tx: Connection, run: str, state: LeaseState, *, epoch: int) -> Lease | None:
    """Open a lease out of its turn and without an owner; None where it has changed since `state` was read.

    A settled lease is open afterwards, with an empty journal: its outcomes must be journaled in the same transaction.
    """
    cleared = ("settled_at", "sent", "refused", "failed", "in_doubt", "outcomes_file", "outcomes_digest")
    reopened = tx.execute(
        update(lease_table)
        .where(lease_table.c.run == run, lease_table.c.ordinal == state.ordinal, lease_table.c.epoch == state.epoch)
        .values(worker=null(), epoch=epoch, **dict.fromkeys(cleared, null()))
    )
    return Lease(run, state.ordinal, epoch) if reopened.rowcount == 1 else None


def reserve_epoch(tx: Connection, run: str, state: LeaseState, *, epoch: int) -> Lease | None:
    """Reserve a later epoch of a lease for a change of it; None where it has changed since `state` was read."""
    raised = tx.execute(
        update(lease_table)
        .where(lease_table.c.run == run, lease_table.c.ordinal == state.ordinal, lease_table.c.epoch == state.epoch)
        .values(epoch=epoch)
    )
    return Lease(run, state.ordinal, epoch) if raised.rowcount == 1 else None


def replace_settlement(tx: Connection, lease: Lease, settlement: Settlement, now: datetime | None = None) -> bool:
    """Replace the recorded outcomes of a settled lease; False where its epoch has changed.

    Args:
        tx: a write transaction.
        lease: under the epoch that was reserved for the change.
        settlement: the new counts and file.
        now: when it counts as settled; None keeps the time.
    """
    table = lease_table.c
    own = (table.run == lease.run, table.ordinal == lease.ordinal, table.epoch == lease.epoch)
    replaced = tx.execute(
        update(lease_table)
        .where(*own, table.settled_at.is_not(None))
        .values(**_to_values(settlement), **({} if now is None else {"settled_at": now}))
    )
    return replaced.rowcount == 1


def _to_values(settlement: Settlement) -> dict[str, Any]:
    counts = {column: settlement.counts.get(outcome, 0) for outcome, column in _COUNTS.items()}
    return {**counts, "outcomes_file": settlement.outcomes_file, "outcomes_digest": settlement.outcomes_digest}


def list_last_sequences(tx: Connection, run: str, *, ordinal: int | None = None) -> dict[tuple[int, int], int]:
    """Read the last journal sequence of the epochs of every open lease, or of one: (ordinal, epoch) -> sequence."""
    last = select(journal_table.c.lease, journal_table.c.epoch, func.max(journal_table.c.sequence))
    if ordinal is not None:
        last = last.where(journal_table.c.lease == ordinal)
    rows = tx.execute(last.where(journal_table.c.run == run).group_by(journal_table.c.lease, journal_table.c.epoch))
    return {(lease, epoch): sequence for lease, epoch, sequence in rows}


def count_unsettled(tx: Connection, run: str) -> int:
    """Count the leases that are still open or free."""
    unsettled = select(func.count()).where(lease_table.c.run == run, lease_table.c.settled_at.is_(None))
    return tx.execute(unsettled).scalar_one()


def list_settled_until(tx: Connection, run: str, last: int) -> frozenset[int]:
    """List the ordinals up to `last` of leases that are settled."""
    table = lease_table.c
    settled = select(table.ordinal).where(table.run == run, table.ordinal <= last, table.settled_at.is_not(None))
    return frozenset(tx.execute(settled).scalars())


def count_free(tx: Connection, run: str) -> int:
    """Count the leases without an owner."""
    free = select(func.count()).where(
        lease_table.c.run == run, lease_table.c.settled_at.is_(None), lease_table.c.worker.is_(None)
    )
    return tx.execute(free).scalar_one()


def list_leases(tx: Connection, run: str) -> list[LeaseState]:
    """Read a run's leases, by ordinal."""
    rows = tx.execute(select(lease_table).where(lease_table.c.run == run).order_by(lease_table.c.ordinal))
    return [to_lease_state(row) for row in rows]


def find_lease(tx: Connection, run: str, ordinal: int) -> LeaseState:
    """Read one lease of a run."""
    row = tx.execute(select(lease_table).where(lease_table.c.run == run, lease_table.c.ordinal == ordinal)).one()
    return to_lease_state(row)


def list_open_leases(tx: Connection, of: Collection[str] | None = None) -> dict[str, list[LeaseState]]:
    """Read the open leases of some runs, or of all: taken by a worker and not settled; run -> leases, by ordinal."""
    begun = select(lease_table).where(lease_table.c.settled_at.is_(None), lease_table.c.epoch > 0)
    if of is not None:
        begun = begun.where(lease_table.c.run.in_(of))
    found: dict[str, list[LeaseState]] = {}
    for row in tx.execute(begun.order_by(lease_table.c.run, lease_table.c.ordinal)):
        found.setdefault(row.run, []).append(to_lease_state(row))
    return found


def to_lease_state(row: Row[Any]) -> LeaseState:
    """Make the state of a lease from its row."""
    settlement = None
    if row.settled_at is not None:
        counts = {outcome: getattr(row, column) for outcome, column in _COUNTS.items()}
        settlement = Settlement(counts, row.outcomes_file, row.outcomes_digest)
    return LeaseState(row.ordinal, row.rows, row.worker, row.epoch, settlement, row.settled_at)


def sum_settled(tx: Connection, run: str) -> dict[Outcome, int]:
    """Add up the outcomes of a run's settled leases."""
    return _sum_settled(tx, [run]).get(run, dict.fromkeys(_COUNTS, 0))


def sum_all_settled(tx: Connection, of: Collection[str] | None = None) -> dict[str, dict[Outcome, int]]:
    """Add up the outcomes of the settled leases of runs, in one statement: run -> outcome -> recipients.

    Args:
        tx: any transaction.
        of: the runs; None for all.
    """
    return _sum_settled(tx, of)


def _sum_settled(tx: Connection, of: Collection[str] | None) -> dict[str, dict[Outcome, int]]:
    sums = select(lease_table.c.run, *(func.coalesce(func.sum(lease_table.c[name]), 0) for name in _COUNTS.values()))
    if of is not None:
        sums = sums.where(lease_table.c.run.in_(of))
    return {
        name: dict(zip(_COUNTS, map(int, counts), strict=True))
        for name, *counts in tx.execute(sums.group_by(lease_table.c.run))
    }


def collapse_leases(tx: Connection, run: str, now: datetime) -> None:
    """Replace all leases by one settled lease with the sums, for a run whose files are pruned."""
    rows = tx.execute(select(func.coalesce(func.sum(lease_table.c.rows), 0)).where(lease_table.c.run == run))
    accepted, counts = rows.scalar_one(), sum_settled(tx, run)
    tx.execute(delete(journal_table).where(journal_table.c.run == run))
    tx.execute(delete(lease_table).where(lease_table.c.run == run))
    values = {_COUNTS[outcome]: count for outcome, count in counts.items()}
    tx.execute(insert(lease_table).values(run=run, ordinal=0, rows=accepted, epoch=0, settled_at=now, **values))


def _is_owned(lease: Lease):  # type: ignore[no-untyped-def]  # noqa: ANN202 - SQLAlchemy's clause types say nothing more
    return and_(
        lease_table.c.run == lease.run,
        lease_table.c.ordinal == lease.ordinal,
        lease_table.c.epoch == lease.epoch,
        lease_table.c.settled_at.is_(None),
    )
