"""Settled leases that lost recipients: where the newest errors of a run are."""

from sqlalchemy import Connection, select

from engine.ledger.leases import LeaseState, to_lease_state
from engine.ledger.schema import lease_table


def list_lossy_leases(tx: Connection, run: str, limit: int) -> list[LeaseState]:
    """List the settled leases with recipients that were refused, failed or are in doubt, the newest first.

    Those of a pruned run have no file any more, and are not listed.
    """
    table = lease_table.c
    lost = (table.refused > 0) | (table.failed > 0) | (table.in_doubt > 0)
    found = select(lease_table).where(table.run == run, table.outcomes_file.is_not(None), lost)
    return [to_lease_state(row) for row in tx.execute(found.order_by(table.settled_at.desc()).limit(limit))]
