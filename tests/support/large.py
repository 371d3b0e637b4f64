"""A ledger with 1,000 runs of a million recipients each."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import insert

from engine.ledger.database import Ledger
from engine.ledger.schema import lease_table, run_table

RUNS, RECIPIENTS, ROWS_PER_LEASE = 1_000, 1_000_000, 5_000
_START = datetime(2026, 1, 1, tzinfo=UTC)


def fill(ledger: Ledger, *, runs: int = RUNS, open_leases: int = 3) -> None:
    """Fill an empty ledger; the last run is under way, with leases that a worker left open."""
    leases = RECIPIENTS // ROWS_PER_LEASE
    counts = {"sent": ROWS_PER_LEASE - 2, "refused": 1, "failed": 1, "in_doubt": 0}
    with ledger.write() as tx:
        for number in range(runs):
            last = number == runs - 1
            at, name = _START + timedelta(hours=number), f"weekly/{number:04d}"
            tx.execute(
                insert(run_table).values(
                    name=name,
                    state="paused" if last else "finished",
                    sandbox=False,
                    folder=f"runs/{name}",
                    manifest_digest="d" * 64,
                    rows_read=RECIPIENTS,
                    accepted=RECIPIENTS,
                    excluded="{}",
                    created_at=at,
                    started_at=at,
                    finished_at=None if last else at,
                )
            )
            settled = [
                {
                    "run": name,
                    "ordinal": i,
                    "rows": ROWS_PER_LEASE,
                    "epoch": 1,
                    "settled_at": at,
                    "outcomes_file": f"lease-{i:05d}-1.parquet",
                    "outcomes_digest": f"{number:04d}{i:04d}" * 8,
                    **counts,
                }
                for i in range(leases - open_leases if last else leases)
            ]
            tx.execute(insert(lease_table), settled)
            if last:
                rest = range(leases - open_leases, leases)
                left = [{"run": name, "ordinal": i, "rows": ROWS_PER_LEASE, "epoch": 1} for i in rest]
                tx.execute(insert(lease_table), left)
