"""The ledger's own list of addresses that must not be mailed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from engine.ledger.schema import suppression_table

_ROWS_AT_ONCE = 50_000


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that must not be mailed.

    Attributes:
        key: the normalised address in lower case.
        topic: only mail of this topic; empty for all mail.
        reason: such as bounce, complaint, unsubscribe.
        source: where it is from.
        at: when it was learnt.
    """

    key: str
    topic: str
    reason: str
    source: str
    at: datetime


def add_suppressions(tx: Connection, suppressions: Iterable[Suppression]) -> int:
    """Add those that are not there yet (the same address and topic); returns how many were added."""
    added = 0
    for item in suppressions:
        same = select(suppression_table.c.key).where(
            suppression_table.c.key == item.key, suppression_table.c.topic == item.topic
        )
        if tx.execute(same).first() is None:
            values = {"key": item.key, "topic": item.topic, "reason": item.reason, "source": item.source, "at": item.at}
            tx.execute(insert(suppression_table).values(values))
            added += 1
    return added


def remove_suppressions(tx: Connection, key: str) -> None:
    """Remove an address from the list, whatever the topic."""
    tx.execute(delete(suppression_table).where(suppression_table.c.key == key))


def iterate_suppressions(tx: Connection) -> Iterator[list[Suppression]]:
    """Read the whole list in blocks, ordered by address and topic; never all of it in memory."""
    ordered = select(suppression_table).order_by(suppression_table.c.key, suppression_table.c.topic)
    result = tx.execute(ordered.execution_options(yield_per=_ROWS_AT_ONCE))
    for rows in result.partitions(_ROWS_AT_ONCE):
        yield [Suppression(row.key, row.topic, row.reason, row.source, row.at) for row in rows]
