"""Event counts that the guard judges: of one run, of its receivers and of all recent runs, since the last decision.

A person who resumes a run that the guard paused acknowledges the counts of that moment. The decision records them, and
the guard judges only the events after them.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select

from engine.ledger.runs import OVER
from engine.ledger.schema import RunState, decision_table, feedback_domain_table, lease_table, run_table
from engine.ledger.values.documents import read_document

COUNTED = ("proven", "delivered", "bounced", "soft_bounced", "complained")
SEEN = "seen"  # in the detail of a decision
DECIDED = ("resume", "approve")  # the decisions that let a run continue

Counts = Mapping[str, int]


class Acknowledged(Struct, frozen=True):
    """Counts that a person has acknowledged; `receivers` are those of one run."""

    runs: Mapping[str, Counts]
    receivers: Mapping[str, Counts]


def read_receivers(tx: Connection, run: str) -> dict[str, Counts]:
    """Read the event counts of a run by receiver: domain (empty for all smaller ones) -> name in COUNTED -> recipients.

    Every recipient is counted under one domain, so the domains add up to the run.
    """
    table = feedback_domain_table.c
    rows = tx.execute(select(table.domain, *(table[name] for name in COUNTED)).where(table.run == run))
    return {domain: dict(zip(COUNTED, counts, strict=True)) for domain, *counts in rows}


def sum_recent(tx: Connection, since: datetime, *, also: str | None = None) -> dict[str, Counts]:
    """Add up the event counts of the recent runs to real recipients: run -> name in COUNTED -> recipients.

    A run is recent if it was sending after a time; a run that has been paused for longer is not. A run without events
    is missing.

    Args:
        tx: any transaction.
        since: the time.
        also: a run that counts in any case.
    """
    is_recent = _is_recent(since)
    which = is_recent if also is None else or_(is_recent, run_table.c.name == also)
    return _sum_by(tx, feedback_domain_table.c.run, which)


def _is_recent(since: datetime) -> ColumnElement[bool]:
    table = run_table.c
    begun = and_(table.state.not_in(OVER), or_(table.state == RunState.SENDING, table.started_at >= since))
    return and_(table.sandbox.is_(False), or_(begun, table.finished_at >= since))


def sum_receivers(tx: Connection, since: datetime) -> dict[str, Counts]:
    """Add up the event counts of the recent runs by receiver: domain (empty for all smaller ones) -> as sum_recent."""
    return _sum_by(tx, feedback_domain_table.c.domain, _is_recent(since))


def sum_run(tx: Connection, run: str) -> dict[str, Counts]:
    """Add up the event counts of one run, as sum_recent."""
    return _sum_by(tx, feedback_domain_table.c.run, run_table.c.name == run)


def _sum_by(tx: Connection, key: ColumnElement[str], which: ColumnElement[bool]) -> dict[str, Counts]:
    table = feedback_domain_table.c
    sums = select(key, *(func.sum(table[name]) for name in COUNTED))
    rows = tx.execute(sums.join(run_table, run_table.c.name == table.run).where(which).group_by(key))
    return {name: dict(zip(COUNTED, map(int, counts), strict=True)) for name, *counts in rows}


def count_handed_over(tx: Connection, run: str) -> int:
    """Count the recipients of a run that were handed over; those of leases that are open all together."""
    table = lease_table.c
    of_lease = case((table.settled_at.is_not(None), table.sent), else_=table.rows)
    counted = select(func.coalesce(func.sum(of_lease), 0)).where(table.run == run, table.epoch > 0)
    return int(tx.execute(counted).scalar_one())


def read_acknowledged(tx: Connection, run: str, since: datetime) -> Acknowledged:
    """Read the counts that people have acknowledged: of a run, and of all runs since a time."""
    table = decision_table.c
    mine = select(table.run, table.detail).where(table.what.in_(DECIDED), or_(table.run == run, table.at >= since))
    runs: dict[str, dict[str, int]] = defaultdict(dict)
    receivers: dict[str, dict[str, int]] = defaultdict(dict)
    for of_run, detail in tx.execute(mine):
        seen: dict[str, Any] = read_document(detail, f"a decision about {of_run}").get(SEEN, {})
        for name, counts in seen.get("runs", {}).items():
            _raise(runs[name], counts)
        for domain, counts in seen.get("receivers", {}).items() if of_run == run else ():
            _raise(receivers[domain], counts)
    return Acknowledged(runs, receivers)


def describe_counts(tx: Connection, run: str, since: datetime) -> dict[str, Any]:
    """Return the current counts, for the detail of a decision about a run."""
    counts: dict[str, dict[str, int]] = {n: dict(sums) for n, sums in sum_recent(tx, since, also=run).items()}
    counts.setdefault(run, {})["sent"] = count_handed_over(tx, run)
    bad = {d: c for d, c in read_receivers(tx, run).items() if d and (c["bounced"] or c["complained"])}
    return {SEEN: {"runs": counts, "receivers": bad}}


def _raise(known: dict[str, int], counts: Counts) -> None:
    for name, count in counts.items():
        known[name] = max(count, known.get(name, 0))
