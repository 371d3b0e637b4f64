"""Events of the recipients of a run: flags by lease, counts, transient bounces.

Each lease has one value with 16 flags for each of its rows, in the plan's order. Flags are never cleared: events may
arrive in any order and any number of times, and the flags are the same. Only flags that were not set before change the
counts. The events themselves are in the store.
"""

import sys
import zlib
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from enum import IntFlag
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, delete, func, insert, select, update

from engine.ledger.database import insert_if_absent
from engine.ledger.schema import feedback_domain_table, feedback_table, soft_bounce_table
from engine.ledger.suppressed.suppressions import KEYS_AT_ONCE
from engine.ledger.values.documents import make_damage


class Flag(IntFlag):
    """What events report of a row; each flag is shown under its name in lower case, except STRIKE."""

    PROVEN = 1  # SES accepted the message: any event but those of REJECTED proves it
    DELIVERED = 2
    BOUNCED = 4  # permanently; SES counts it in the account's bounce rate
    SOFT_BOUNCED = 8  # SES gave up trying
    PROVIDER_SUPPRESSED = 16  # SES did not try, because its own list has the address
    COMPLAINED = 32
    OPENED = 64  # by anybody: a person or a machine
    OPENED_BY_PEOPLE = 4096
    CLICKED = 128
    CLICKED_BY_PEOPLE = 8192
    DELAYED = 256
    UNSUBSCRIBED = 512
    REJECTED = 1024  # SES dropped the message after accepting it: a virus, a template that cannot be rendered
    STRIKE = 2048  # one of several transient bounces that together suppress an address


BY_PEOPLE = Flag.OPENED_BY_PEOPLE | Flag.CLICKED_BY_PEOPLE
"""Of a row, without these where OPENED or CLICKED is set: only machines did. Exact in any order of events."""
COUNTED = tuple(flag for flag in Flag if flag is not Flag.STRIKE)
OF_DOMAINS = (
    *(Flag.PROVEN, Flag.DELIVERED, Flag.BOUNCED, Flag.SOFT_BOUNCED, Flag.PROVIDER_SUPPRESSED, Flag.COMPLAINED),
    Flag.REJECTED,
)
SHOWN = tuple(name_of for flag in COUNTED if (name_of := str(flag.name).lower()) != "proven")
"""The names under which counts are shown, without `proven`."""

Counts = dict[Flag, int]


class NewFlags(Struct, frozen=True):
    """Flags of a row that were not set before."""

    lease: int
    index: int
    flags: Flag


class SoftBounce(Struct, frozen=True):
    """A transient bounce of an address; a message counts once."""

    key: str
    run: str
    row: int
    at: datetime
    event: str


def set_flags(
    tx: Connection, run: str, additions: Mapping[int, Iterable[tuple[int, int]]], rows: Mapping[int, int]
) -> list[NewFlags]:
    """Set flags of rows, and count those that were not set before.

    Args:
        tx: a write transaction.
        run: its name.
        additions: lease -> index within the lease, flags to set; an index may come several times.
        rows: lease -> its rows; for all in `additions`.

    Returns:
        What was not set before, by lease and index.
    """
    changed: list[NewFlags] = []
    for lease in sorted(additions):  # in one order, so that two pulls never deadlock
        changed += _set_flags_of_lease(tx, run, lease, additions[lease], rows[lease])
    return changed


def _set_flags_of_lease(
    tx: Connection, run: str, lease: int, additions: Iterable[tuple[int, int]], rows: int
) -> list[NewFlags]:
    empty = {"run": run, "lease": lease, "flags": _pack(_blank(rows)), **dict.fromkeys(_COLUMNS.values(), 0)}
    mine = (feedback_table.c.run == run, feedback_table.c.lease == lease)
    read = select(feedback_table).where(*mine).with_for_update()
    found = tx.execute(read).one_or_none()
    if found is None:
        tx.execute(insert_if_absent(tx, feedback_table).values(**empty))
        found = tx.execute(read).one()
    flags = _unpack(found.flags)
    new: dict[int, int] = {}
    for index, wanted in additions:
        if missing := wanted & ~flags[index]:
            flags[index] |= missing
            new[index] = new.get(index, 0) | missing
    if not new:
        return []
    added = _count(new.values(), COUNTED)
    values = {_COLUMNS[flag]: getattr(found, _COLUMNS[flag]) + count for flag, count in added.items()}
    tx.execute(update(feedback_table).where(*mine).values(flags=_pack(flags), **values))
    return [NewFlags(lease, index, Flag(bits)) for index, bits in sorted(new.items())]


_COLUMNS: dict[Flag, str] = {flag: str(flag.name).lower() for flag in COUNTED}


def _count(values: Iterable[int], flags: Sequence[Flag]) -> Counts:
    patterns = Counter(values)
    return {flag: sum(count for bits, count in patterns.items() if bits & flag) for flag in flags}


def _blank(rows: int) -> "array[int]":
    return array("H", bytes(2 * rows))


def _pack(flags: "array[int]") -> bytes:
    if sys.byteorder == "big":
        flags = flags[:]
        flags.byteswap()
    return zlib.compress(flags.tobytes(), 1)


def _unpack(value: bytes) -> "array[int]":
    try:
        flags = array("H", zlib.decompress(value))
    except (zlib.error, ValueError):
        raise make_damage("what the events of a lease changed") from None
    if sys.byteorder == "big":
        flags.byteswap()
    return flags


def read_flags(tx: Connection, run: str, lease: int) -> Sequence[int]:
    """Read the flags of a lease's rows, in the plan's order; empty where there are no events yet."""
    mine = (feedback_table.c.run == run, feedback_table.c.lease == lease)
    value = tx.execute(select(feedback_table.c.flags).where(*mine)).scalar_one_or_none()
    return () if value is None else _unpack(value)


def to_shown(counts: Counts) -> dict[str, int]:
    """Name counts as they are shown."""
    return {name: counts.get(Flag[name.upper()], 0) for name in SHOWN}


def sum_feedback(tx: Connection, run: str) -> Counts:
    """Count the rows of a run that have each flag."""
    return sum_all_feedback(tx, [run]).get(run, {})


def sum_all_feedback(tx: Connection, of: Collection[str] | None = None) -> dict[str, Counts]:
    """Count the rows of some runs, or of all, that have each flag, in one statement: run -> flag -> rows."""
    table = feedback_table.c
    sums = select(table.run, *(func.sum(table[column]) for column in _COLUMNS.values())).group_by(table.run)
    if of is not None:
        sums = sums.where(table.run.in_(of))
    return {
        name: dict(zip(_COLUMNS, map(int, counts), strict=True))
        for name, *counts in tx.execute(sums)
        if name is not None
    }


def add_domain_counts(tx: Connection, run: str, added: Mapping[str, Iterable[int]]) -> None:
    """Add newly set flags to the counts of receivers.

    Args:
        tx: the transaction that set the flags.
        run: its name.
        added: domain (empty for all that are not counted by themselves) -> the new flags of its rows.
    """
    table = feedback_domain_table
    for domain in sorted(added):
        counts = _count(added[domain], OF_DOMAINS)
        zero = {"run": run, "domain": domain, **{_COLUMNS[flag]: 0 for flag in OF_DOMAINS}}
        tx.execute(insert_if_absent(tx, table).values(**zero))
        grown = {_COLUMNS[flag]: table.c[_COLUMNS[flag]] + count for flag, count in counts.items() if count}
        if grown:
            tx.execute(update(table).where(table.c.run == run, table.c.domain == domain).values(**grown))


def count_soft_bounces(tx: Connection, new: Iterable[SoftBounce], again: Iterable[SoftBounce]) -> None:
    """Store transient bounces; of two for the same message, the earlier one.

    Args:
        tx: a write transaction.
        new: of messages that had none before.
        again: of messages that had one before; a bounce that was removed since is not stored again.
    """
    for item in new:
        tx.execute(insert_if_absent(tx, soft_bounce_table).values(_to_row(item)))
    for item in [*new, *again]:
        table = soft_bounce_table.c
        mine = (table.key == item.key, table.run == item.run, table.row == item.row)
        later = (table.at > item.at) | ((table.at == item.at) & (table.event > item.event))
        tx.execute(update(soft_bounce_table).where(*mine, later).values(at=item.at, event=item.event))


def find_soft_bounces(tx: Connection, keys: Collection[str]) -> dict[str, list[SoftBounce]]:
    """Read the transient bounces of addresses, the earliest first."""
    ordered, found = sorted(keys), dict[str, list[SoftBounce]]()
    table = soft_bounce_table.c
    for start in range(0, len(ordered), KEYS_AT_ONCE):
        some = select(soft_bounce_table).where(table.key.in_(ordered[start : start + KEYS_AT_ONCE]))
        for row in tx.execute(some.order_by(table.at, table.event)):
            found.setdefault(row.key, []).append(SoftBounce(row.key, row.run, row.row, row.at, row.event))
    return found


def delete_old_soft_bounces(tx: Connection, before: datetime) -> None:
    """Remove bounces that are too old for any rule."""
    tx.execute(delete(soft_bounce_table).where(soft_bounce_table.c.at < before))


def collapse_feedback(tx: Connection, run: str) -> None:
    """Replace the flags of all leases by one row with the sums, for a run whose files are pruned."""
    sums = sum_feedback(tx, run)
    tx.execute(delete(feedback_table).where(feedback_table.c.run == run))
    if sums:
        values: dict[str, Any] = {_COLUMNS[flag]: count for flag, count in sums.items()}
        tx.execute(insert(feedback_table).values(run=run, lease=0, flags=_pack(_blank(0)), **values))


def _to_row(item: SoftBounce) -> dict[str, Any]:
    return {"key": item.key, "run": item.run, "row": item.row, "at": item.at, "event": item.event}
