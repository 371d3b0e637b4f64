"""Detects that the ledger was restored, or that its server failed over: it may miss messages that were sent."""

from sqlalchemy import Connection, Engine, Text, cast, literal_column, select, text, update

from engine.ledger.connect import read_server_identity, read_transaction
from engine.ledger.schema import RunState, place_table, run_table

_RECORD = text("INSERT INTO place (id, place) VALUES (1, :place) ON CONFLICT DO NOTHING")


def detect_restore(engine: Engine) -> None:
    """Compare the current server with the server that the data records; mark unfinished runs if they differ.

    The data also records the id of the transaction that wrote it. A restore writes every row again, so the id changes
    even if a backup is restored into the tables that it was made from.

    A marked run is not sent until `mailrun resolve RUN --after-restore`.
    """
    with engine.connect().execution_options(mailrun_read=True) as connection:
        here = read_server_identity(connection)
        if here is None or _names(connection, here):
            return
    with engine.begin() as connection:
        known = connection.execute(select(place_table.c.place).with_for_update()).scalar_one_or_none()
        place = f"{here}/{read_transaction(connection)}"
        if known is None:
            connection.execute(_RECORD, {"place": place})
        elif not _names(connection, here):  # another process may have marked them first
            connection.execute(update(place_table).values(place=place))
            under_way = run_table.c.state.in_([RunState.SENDING, RunState.PAUSED])
            connection.execute(update(run_table).where(under_way).values(suspect=True))


def _names(connection: Connection, here: str) -> bool:
    """Return True if this server wrote the data."""
    written_by = cast(literal_column("place.xmin"), Text)
    row = connection.execute(select(place_table.c.place, written_by)).one_or_none()
    return row is not None and row[0] == f"{here}/{row[1]}"
