"""Which runs had opt-outs by their links lately: their figures have changed, though no event was processed."""

from datetime import datetime

from sqlalchemy import Connection, func, select

from engine.ledger.schema import Timestamp, opt_out_table, run_table


def find_last_opt_outs(tx: Connection, since: datetime) -> dict[str, datetime]:
    """Find the runs that have their files and had an opt-out since a time: run -> the last one."""
    table, run = opt_out_table.c, run_table.c
    last = func.max(table.at, type_=Timestamp)
    mine = select(table.run, last).join(run_table, run.name == table.run).where(table.at >= since)
    found = tx.execute(mine.where(run.pruned_at.is_(None)).group_by(table.run))
    return {name: at for name, at in found if name is not None}
