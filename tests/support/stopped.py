"""Processes that are stopped, as a machine that is suspended stops them."""

import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path


def stop_between_transactions(process: subprocess.Popen[str], ledger: Path) -> None:
    """Stop a process where it does not hold SQLite's lock, which nobody can take from a process that lives."""
    for _ in range(100):
        process.send_signal(signal.SIGSTOP)
        with closing(sqlite3.connect(ledger, timeout=0.5, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.OperationalError:
                process.send_signal(signal.SIGCONT)
            else:
                return
    raise AssertionError("the process always held the ledger's lock")
