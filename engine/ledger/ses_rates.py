"""The rates of SES at which the guard paused runs, and those that a person has acknowledged by resuming them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, or_, select

from engine.ledger.decisions import Decision, record_decision
from engine.ledger.event_counts import DECIDED
from engine.ledger.runs import GUARD
from engine.ledger.schema import decision_table

PAUSE = "pause"
RATES = "ses_rates"  # in the detail of a decision


def record_pause(tx: Connection, run: str, rates: Mapping[str, float], now: datetime) -> None:
    """Record the rates at which the guard pauses a run."""
    record_decision(tx, Decision(run, now, GUARD, PAUSE, {RATES: dict(rates)}))


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
    return find_acknowledged((of_run, what, orjson.loads(detail)) for of_run, what, detail in rows)


def find_acknowledged(decisions: Iterable[tuple[str | None, str, Mapping[str, Any]]]) -> dict[str, float]:
    """Find the highest acknowledged rates.

    Args:
        decisions: run, what and detail of each, in order.
    """
    paused: dict[str | None, Mapping[str, float]] = {}
    known: dict[str, float] = {}
    for run, what, detail in decisions:
        if what == PAUSE:
            paused[run] = detail.get(RATES) or paused.get(run, {})
            continue
        for rate, value in paused.pop(run, {}).items():
            known[rate] = max(value, known.get(rate, 0.0))
    return known
