"""A ledger that has seen 1,000 runs and a billion recipients is small, and answers at once."""

import time
from pathlib import Path

import pytest
from sqlalchemy import event, text
from support.large import RUNS, fill
from support.totals import add_total

from engine.ledger import leases, runs
from engine.ledger.database import Ledger, open_ledger
from engine.ledger.snapshots import list_runs
from engine.report.accounts import Accounts
from engine.report.run_accounts import list_accounts, require_accounts
from engine.store.folder import FolderStore

MEGABYTES, SECONDS = 200, 3.0


def explain(ledger: Ledger, statements: list[tuple[str, object]]) -> list[str]:
    """Ask the database how it finds what it finds."""
    prefix = "EXPLAIN QUERY PLAN " if ledger.url.startswith("sqlite") else "EXPLAIN "
    plans = []
    with ledger.read() as tx:
        for statement, parameters in statements:
            rows = tx.exec_driver_sql(prefix + statement, parameters)  # type: ignore[arg-type] # as it was executed
            plans += [str(row[-1]) for row in rows]
    return plans


@pytest.mark.timeout(300)
def test_ledger_stays_small_and_status_and_resume_are_fast(ledger_url: str, tmp_path: Path):
    ledger = open_ledger(ledger_url)
    store = FolderStore(tmp_path / "store")
    try:
        fill(ledger)
        with ledger.write() as tx:
            sqlite = ledger.url.startswith("sqlite")
            size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            bytes_used = tx.execute(
                text(size if sqlite else "SELECT pg_database_size(current_database())")
            ).scalar_one()
        assert bytes_used < MEGABYTES * 1_000_000
        begun = time.perf_counter()
        now = list_runs(ledger)[0].created_at
        accounts: list[Accounts] = list_accounts(ledger, store, now)
        all_seconds = time.perf_counter() - begun
        assert len(accounts) == RUNS
        assert all(one.balanced for one in accounts)
        statements: list[tuple[str, object]] = []
        event.listen(ledger._engine, "before_cursor_execute", lambda *a: statements.append((a[2], a[3])))
        begun = time.perf_counter()
        name = f"weekly/{RUNS - 1:04d}"
        with ledger.write() as tx:
            runs.start_run(tx, name, accounts[0].started_at or now)
            lease = leases.take_lease(tx, name, worker="w", live={"w"})
        require_accounts(ledger, name, store, now)
        seconds = time.perf_counter() - begun
        assert lease is not None
        assert max(seconds, all_seconds) < SECONDS
        asked = [(s, p) for s, p in statements if "lease" in s and s.lstrip().startswith(("SELECT", "UPDATE"))]
        plans = explain(ledger, asked)
        if sqlite:  # PostgreSQL may rightly read a small table whole
            assert not [plan for plan in plans if "SCAN lease" in plan], plans
        database = "SQLite" if sqlite else "PostgreSQL"
        add_total(
            f"{database}, 1,000 runs of a million: {bytes_used / 1e6:,.0f} MB, status of all {all_seconds:.2f} s,"
            f" taking a run up {seconds:.3f} s"
        )
    finally:
        ledger.close()
