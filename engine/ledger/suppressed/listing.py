"""Reads the list of suppressed addresses a page at a time, the newest first, and counts it.

The page is found by the index of times, however long the list is. An import gives a whole list one time, so a place in
the list is a time and how many entries of that time come before: it has no address, and may be in a URL.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, String, cast, func, select

from engine.ledger.schema import suppression_table
from engine.ledger.suppressed.suppressions import Suppression, from_row

_DATE_CHARACTERS = 10  # of a time as the ledger has it


class ListPlace(Struct, frozen=True):
    """Where a page begins.

    Attributes:
        at: no entry of the page is newer.
        before: how many entries of exactly this time come before the page.
    """

    at: datetime
    before: int = 0


class ListFilter(Struct, frozen=True):
    """Which entries to list; an empty value does not matter.

    Attributes:
        reason: as the entry has it.
        topic: as the entry has it.
    """

    reason: str = ""
    topic: str = ""

    def to_conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions of a statement."""
        table = suppression_table.c
        pairs = ((table.reason, self.reason), (table.topic, self.topic))
        return [column == value for column, value in pairs if value]


class ListPage(Struct, frozen=True):
    """A page of the list.

    Attributes:
        entries: the newest first.
        next_place: of the following page; None on the last one.
    """

    entries: Sequence[Suppression]
    next_place: ListPlace | None


def read_list_page(tx: Connection, which: ListFilter, place: ListPlace | None, size: int) -> ListPage:
    """Read a page of the list.

    Args:
        tx: any transaction.
        which: entries to list.
        place: where it begins; None for the newest entry.
        size: entries of a page.
    """
    table, wanted = suppression_table.c, which.to_conditions()
    found: list[Suppression] = []
    if place is not None:
        same = _select_same(tx, wanted, place.at).offset(place.before).limit(size + 1)
        found += map(from_row, tx.execute(same))
    if len(found) <= size:
        older = select(suppression_table).where(*wanted).order_by(table.at.desc()).limit(size + 1 - len(found))
        older = older if place is None else older.where(table.at < place.at)
        found += _order_as_alone(tx, wanted, list(map(from_row, tx.execute(older))))
    if len(found) <= size:
        return ListPage(found, None)
    return ListPage(found[:size], _find_next(found[:size], place))


def _select_same(tx: Connection, wanted: Sequence[ColumnElement[bool]], at: datetime) -> Select[tuple[Any, ...]]:
    """Select the entries of one time in an order that stays the same.

    SQLite reads them in the order of its index of times, without sorting; PostgreSQL may change between indexes.
    """
    same = select(suppression_table).where(*wanted, suppression_table.c.at == at)
    if tx.dialect.name == "postgresql":
        return same.order_by(suppression_table.c.key, suppression_table.c.topic)
    return same


def _order_as_alone(
    tx: Connection, wanted: Sequence[ColumnElement[bool]], found: list[Suppression]
) -> list[Suppression]:
    """Put entries of the last time in the order in which the next page counts them."""
    if not found:
        return found
    last = found[-1].at
    count = sum(one.at == last for one in found)
    same = _select_same(tx, wanted, last).limit(count)
    return [*found[: len(found) - count], *map(from_row, tx.execute(same))]


def _find_next(shown: Sequence[Suppression], place: ListPlace | None) -> ListPlace:
    last = shown[-1].at
    count = sum(one.at == last for one in shown)
    return ListPlace(last, count + (place.before if place is not None and place.at == last else 0))


class ListCounts(Struct, frozen=True):
    """The list in numbers.

    Attributes:
        total: entries.
        reasons: reason -> entries, the largest first.
        topics: topic (empty for all mail) -> entries, the largest first.
        sources: source -> entries, the largest first; at most MOST_SOURCES.
        other_sources: entries of all other sources.
        days: day such as 2026-11-30 -> entries that were added, the newest first; at most MOST_DAYS.
    """

    total: int
    reasons: Sequence[tuple[str, int]]
    topics: Sequence[tuple[str, int]]
    sources: Sequence[tuple[str, int]]
    other_sources: int
    days: Sequence[tuple[str, int]]


MOST_SOURCES = 20
MOST_TOPICS = 50
MOST_DAYS = 30


def count_list(tx: Connection) -> ListCounts:
    """Count the whole list: it is read once for each property, which takes a second for a million entries."""
    table = suppression_table.c
    total = tx.execute(select(func.count()).select_from(suppression_table)).scalar_one()
    sources = _count_by(tx, table.source, MOST_SOURCES)
    return ListCounts(
        total=total,
        reasons=_count_by(tx, table.reason, MOST_SOURCES),
        topics=_count_by(tx, table.topic, MOST_TOPICS),
        sources=sources,
        other_sources=total - sum(count for _, count in sources),
        days=_count_days(tx),
    )


def _count_by(tx: Connection, column: ColumnElement[str], most: int) -> list[tuple[str, int]]:
    count = func.count()
    grouped = select(column, count).group_by(column).order_by(count.desc(), column).limit(most)
    return [(str(value), int(number)) for value, number in tx.execute(grouped)]


def _count_days(tx: Connection) -> list[tuple[str, int]]:
    day = func.substr(cast(suppression_table.c.at, String), 1, _DATE_CHARACTERS)
    grouped = select(day, func.count()).group_by(day).order_by(day.desc()).limit(MOST_DAYS)
    return [(str(value), int(number)) for value, number in tx.execute(grouped)]
