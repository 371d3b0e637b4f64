"""Changes of a lease outside a worker: each is one write transaction that succeeds only if the lease is unchanged.

A command reads a lease, works on the values with no transaction open, and then writes its decision here. The epoch is
compared: a lease that has changed since it was read is left as it is.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from engine.ledger import leases, runs
from engine.ledger.database import Ledger
from engine.ledger.decisions import Decision, record_decision
from engine.ledger.journal import Result, encode_entries
from engine.ledger.leases import Lease, LeaseState, Settlement


def reopen_lease(  # noqa: PLR0913 - a compared state, and what is written together
    ledger: Ledger,
    run: str,
    state: LeaseState,
    *,
    epoch: int,
    entries: Sequence[Result],
    decision: Decision,
    reason: str,
    sequences: Mapping[int, int] | None = None,
) -> Lease | None:
    """Open a lease without an owner and journal results under a new epoch; a finished run is paused.

    Args:
        ledger: has the lease.
        run: the lease's.
        state: the lease as it was read.
        epoch: the new one.
        entries: added to the journal; the whole journal where the lease was settled.
        decision: recorded in the same transaction.
        reason: why the run is paused, if it was finished.
        sequences: the journal as it was read, epoch -> last sequence; None where the lease was settled.

    Returns:
        None, and nothing recorded, if the lease has changed since it was read.
    """
    with ledger.write() as tx:
        runs.lock_run(tx, run)
        if not leases.lock_lease(tx, run, state):
            return None
        last = leases.list_last_sequences(tx, run, ordinal=state.ordinal)
        if sequences is not None and {epoch: sequence for (_, epoch), sequence in last.items()} != sequences:
            return None
        lease = leases.reopen_lease(tx, run, state, epoch=epoch)
        if lease is not None:
            leases.append_journal(tx, lease, sequence=1, entries=encode_entries(entries))
            record_decision(tx, decision)
            runs.reopen_run(tx, run, reason)
        return lease


def reserve_epoch(ledger: Ledger, run: str, state: LeaseState, *, epoch: int) -> Lease | None:
    """Reserve a later epoch of a lease for a change of it; None if it has changed since `state` was read."""
    with ledger.write() as tx:
        return leases.reserve_epoch(tx, run, state, epoch=epoch)


def settle_lease(ledger: Ledger, lease: Lease, settlement: Settlement, now: datetime) -> bool:
    """Settle an open lease as its worker would; False, and nothing changed, if it has a newer owner."""
    with ledger.write() as tx:
        return leases.settle_lease(tx, lease, settlement, now)


def replace_settlement(
    ledger: Ledger,
    lease: Lease,
    settlement: Settlement,
    now: datetime | None = None,
    *,
    decision: Decision | None = None,
) -> bool:
    """Replace the recorded outcomes of a settled lease; False, and nothing changed, if its epoch has changed.

    Args:
        ledger: has the lease.
        lease: under the epoch that was reserved for the change.
        settlement: the new counts and file.
        now: when it counts as settled; None keeps the time.
        decision: recorded in the same transaction.
    """
    with ledger.write() as tx:
        is_recorded = leases.replace_settlement(tx, lease, settlement, now)
        if is_recorded and decision is not None:
            record_decision(tx, decision)
        return is_recorded


def finish_restore(ledger: Ledger, run: str, reason: str) -> None:
    """Record that a person has settled the recipients whose outcome a restore lost; a finished run may be paused.

    Args:
        ledger: has the lease.
        run: its name.
        reason: why the run is paused, if it was finished and has leases that are not settled.
    """
    with ledger.write() as tx:
        runs.clear_suspect(tx, run)
        runs.lock_run(tx, run)
        if leases.count_unsettled(tx, run):
            runs.reopen_run(tx, run, reason)
