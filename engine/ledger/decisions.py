"""Decisions about runs, with author and time: pauses, cancellations, recipients settled by hand."""

import getpass
import os
import socket
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson
from msgspec import Struct
from sqlalchemy import Connection, insert, or_, select

from engine.ledger.event_counts import DECIDED
from engine.ledger.runs import GUARD
from engine.ledger.schema import decision_table
from engine.ledger.values.documents import read_document

PAUSE = "pause"
SES_RATES = "ses_rates"  # in the detail of a decision: those at which the guard paused a run


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
    return [
        Decision(row.run, row.at, row.who, row.what, read_document(row.detail, f"a decision about {run}"))
        for row in rows
    ]


def find_user() -> str:
    """Return the user who runs this process: `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def record_rates_of_pause(tx: Connection, run: str, rates: Mapping[str, float], now: datetime) -> None:
    """Record the rates at which the guard pauses a run."""
    record_decision(tx, Decision(run, now, GUARD, PAUSE, {SES_RATES: dict(rates)}))


def read_acknowledged_rates(tx: Connection, run: str, since: datetime) -> dict[str, float]:
    """Read the highest rates with which a person has resumed a run that the guard had paused for them.

    Args:
        tx: any transaction.
        run: its own decisions count whatever their age.
        since: those about other runs count from then on.
    """
    table = decision_table.c
    what = table.what.in_((PAUSE, *DECIDED))
    rows = tx.execute(
        select(table.run, table.what, table.detail)
        .where(what, or_(table.run == run, table.at >= since))
        .order_by(table.id)
    )
    return find_acknowledged(
        (of_run, what, read_document(detail, f"a decision about {of_run}")) for of_run, what, detail in rows
    )


def find_acknowledged(decisions: Iterable[tuple[str | None, str, Mapping[str, Any]]]) -> dict[str, float]:
    """Find the highest acknowledged rates.

    Args:
        decisions: run, what and detail of each, in order.
    """
    paused: dict[str | None, Mapping[str, float]] = {}
    known: dict[str, float] = {}
    for run, what, detail in decisions:
        if what == PAUSE:
            paused[run] = {**paused.get(run, {}), **detail.get(SES_RATES, {})}  # several regions may pause it at once
            continue
        for rate, value in paused.pop(run, {}).items():
            known[rate] = max(value, known.get(rate, 0.0))
    return known
