"""Noticing that the ledger was restored, or that its server has failed over: it may be older than what was sent."""

from sqlalchemy import Engine, select, update
from sqlalchemy.dialects import postgresql

from engine.ledger.engines import read_place
from engine.ledger.schema import RunState, place_table, run_table


def notice_another_place(engine: Engine) -> None:
    """Compare the place where the data lives with the one that the data names; mark the runs under way if it differs.

    A run that is marked is not worked on before `mailrun resolve RUN --after-restore`.
    """
    with engine.connect().execution_options(mailrun_read=True) as connection:
        here = read_place(connection)
        if connection.execute(select(place_table.c.place)).scalar_one_or_none() == here:
            return
    with engine.begin() as connection:
        known = connection.execute(select(place_table.c.place).with_for_update()).scalar_one_or_none()
        if known is None:
            connection.execute(postgresql.insert(place_table).values(id=1, place=here).on_conflict_do_nothing())
        elif known != here:
            connection.execute(update(place_table).values(place=here))
            under_way = run_table.c.state.in_([RunState.SENDING, RunState.PAUSED])
            connection.execute(update(run_table).where(under_way).values(suspect=True))
