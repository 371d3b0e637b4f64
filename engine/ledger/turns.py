"""Who sends, where more workers have something to send than the account's rate bears."""

from collections import Counter
from collections.abc import Collection

from sqlalchemy import Connection, select

from engine.ledger.schema import worker_table


def choose_senders(tx: Connection, workers: Collection[str], most: int) -> set[str]:
    """Choose who sends: one worker of every run, so that no run waits for another, then a second of every run.

    Args:
        tx: any transaction.
        workers: ids of those that have something to send.
        most: how many may send, unless there are more runs.

    Returns:
        ids; all workers that ask about the same ones come to the same answer.
    """
    columns = worker_table.c
    rows = tx.execute(select(columns.id, columns.run).where(columns.id.in_(workers)).order_by(columns.id)).all()
    runs: Counter[str] = Counter()
    turns = []
    for worker, run in rows:
        turns.append((runs[run], worker))
        runs[run] += 1
    return {worker for _, worker in sorted(turns)[: max(most, len(runs))]}
