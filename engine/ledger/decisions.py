"""Decisions about runs, with author and time: pauses, cancellations, recipients settled by hand."""

import getpass
import os
import socket
from datetime import datetime
from typing import Any

import orjson
from msgspec import Struct
from sqlalchemy import Connection, insert, select

from engine.ledger.schema import decision_table


class Decision(Struct, frozen=True):
    """One decision; `detail` holds rows and counts, never addresses."""

    run: str | None
    at: datetime
    who: str
    what: str
    detail: dict[str, Any]


def record_decision(tx: Connection, decision: Decision) -> None:
    """Add a decision; part of the transaction that carries it out."""
    tx.execute(
        insert(decision_table).values(
            run=decision.run,
            at=decision.at,
            who=decision.who,
            what=decision.what,
            detail=orjson.dumps(decision.detail).decode(),
        )
    )


def list_decisions(tx: Connection, run: str) -> list[Decision]:
    """Read the decisions about a run, the oldest first."""
    table = decision_table.c
    rows = tx.execute(select(decision_table).where(table.run == run).order_by(table.id))
    return [Decision(row.run, row.at, row.who, row.what, orjson.loads(row.detail)) for row in rows]


def find_user() -> str:
    """Return the user who runs this process: `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
