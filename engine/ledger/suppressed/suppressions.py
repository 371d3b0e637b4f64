"""The ledger's own list of addresses that must not be mailed."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson
from msgspec import Struct
from sqlalchemy import ARRAY, Connection, Text, any_, bindparam, delete, func, select, tuple_, update
from sqlalchemy.engine import Row

from engine.ledger.database import Ledger, insert_if_absent
from engine.ledger.schema import forgotten_table, soft_bounce_table, suppression_table
from engine.ledger.suppressed.reasons import Reason, classify_reason
from engine.ledger.suppressed.suppression_scope import CampaignKind, Scope, find_scope, is_blocked

_ROWS_AT_ONCE = 50_000
KEYS_AT_ONCE = 500  # addresses per lookup
_PARAMETERS = 2000  # per statement: an address is looked up with its domain and the parent domains


class SuppressionProof(StrEnum):
    """What proved the request of an inbound mail."""

    TOKEN = "token"  # noqa: S105 - no secret; a token of ours
    SENDER = "sender"  # the receiving server verified the sender's domain
    SOURCE = "feedback_source"  # a signature of a configured source of feedback reports
    UNKNOWN = "unknown"  # an earlier version did not record it


DOMAIN_MARK = "@"  # begins the key of an entry for a whole domain: @d.example, or @*.d.example for what lies below it
_WEIGHTS = {reason.value: weight for weight, reason in enumerate(Reason)}


class Suppression(Struct, frozen=True):
    """An address, or a domain, that must not be mailed.

    Attributes:
        key: the normalised address in lower case; of a domain `@domain`, of all that lie below it `@*.domain`.
        topic: only mail of this topic; empty for all mail.
        reason: such as bounce, complaint, unsubscribe (`Reason`; imported lists may have other texts).
        source: its origin.
        at: when it was added; for an event, the event's time.
        event: the id of the event that caused it.
        address: as it was received, where that is known: SES's own list is case-sensitive.
        proof: what proved the request of an inbound mail (`SuppressionProof`); None where no mail is the reason.
    """

    key: str
    topic: str
    reason: str
    source: str
    at: datetime
    event: str | None = None
    address: str | None = None
    proof: str | None = None

    @property
    def is_certain(self) -> bool:
        """Whether it may be pushed to SES: an entry from a mail without a token may not."""
        return self.proof in (None, SuppressionProof.TOKEN)

    @property
    def scope(self) -> Scope:
        """Which mail it blocks."""
        return find_scope(classify_reason(self.reason), self.topic)

    @property
    def is_of_a_domain(self) -> bool:
        """Whether it blocks the mail to a whole domain."""
        return self.key.startswith(DOMAIN_MARK)

    def applies_to(self, topic: str | None, kind: CampaignKind) -> bool:
        """Return whether it blocks the mail of a campaign, see `suppression_scope`.

        Args:
            topic: the campaign's; capitals do not matter.
            kind: the campaign's; opt-outs from a topic do not block transactional mail.
        """
        return is_blocked(self.scope, self.topic, campaign_topic=topic, kind=kind)


def limit_topic(topic: str, reason: str) -> str:
    """Return the topic of an entry with a reason: empty, for all mail, where no topic limits the reason."""
    return topic if find_scope(classify_reason(reason), topic) is Scope.TOPIC else ""


def is_anyone_forgotten(tx: Connection) -> bool:
    """Return True if any person was forgotten: then the store's key is needed to compare addresses."""
    return tx.execute(select(forgotten_table.c.digest).limit(1)).first() is not None


def list_keys(key: str) -> Iterator[str]:
    """Yield the keys of all entries that block the mail to an address: its own, its domain's and its parent domains'.

    >>> list(list_keys("ann@a.b.example"))
    ['ann@a.b.example', '@a.b.example', '@*.b.example', '@*.example']
    """
    yield key
    yield from list_domain_keys(key.rpartition("@")[2])


def list_domain_keys(domain: str) -> Iterator[str]:
    """Yield the keys of all entries that block the mail to a whole domain: its own and its parent domains'."""
    yield f"{DOMAIN_MARK}{domain}"
    while domain := domain.partition(".")[2]:
        yield f"{DOMAIN_MARK}*.{domain}"


def add_suppressions(tx: Connection, suppressions: Iterable[Suppression]) -> int:
    """Add those that are not there yet (the same address and topic); returns how many were added."""
    ordered = sorted(suppressions, key=_place)
    return sum(tx.execute(insert_if_absent(tx, suppression_table).values(_to_row(s))).rowcount for s in ordered)


def merge_event_suppressions(tx: Connection, new: Sequence[Suppression], again: Sequence[Suppression] = ()) -> int:
    """Add suppressions from events; returns how many addresses were not on the list before.

    For `again` no address is added: the events were processed before, and an address that a person removed since stays
    removed.

    The result does not depend on the order of events: the reason with the highest priority is kept, then the earliest
    time, then the lowest event id. Entries without an event (a person's decision, an imported list) are not replaced,
    except that an event with the same priority replaces the request of a mail without a token.
    """
    best: dict[tuple[str, str], Suppression] = {}
    for item in sorted([*new, *again], key=_rank):
        best.setdefault(_place(item), item)
    keys = {key for key, _ in best}
    known = set(map(_place, find_suppressions(tx, keys)))
    missing = [_to_row(best[place]) for place in sorted(set(map(_place, new)) - known)]
    # Another process may add the same entry at this moment: the second one finds it and compares.
    added = tx.execute(insert_if_absent(tx, suppression_table), missing).rowcount if missing else 0
    for there in find_suppressions(tx, keys, to_change=True):
        item = best.get(_place(there), there)
        weighs_as_much = not there.is_certain and _rank(item)[0] <= _rank(there)[0]
        if item is not there and (weighs_as_much or (there.event is not None and _rank(item) < _rank(there))):
            mine = (suppression_table.c.key == item.key, suppression_table.c.topic == item.topic)
            tx.execute(update(suppression_table).where(*mine).values(_to_row(item)))
    return added


def _place(item: Suppression) -> tuple[str, str]:
    return item.key, item.topic


def _rank(item: Suppression) -> tuple[int, datetime, str]:
    return _WEIGHTS.get(item.reason, len(_WEIGHTS)), item.at, item.event or ""


def find_suppressions(tx: Connection, keys: Collection[str], *, to_change: bool = False) -> list[Suppression]:
    """Read the entries of some addresses (normalised, in lower case), of every topic.

    With `to_change` no other process changes it until the transaction ends.
    """
    found: list[Suppression] = []
    table = suppression_table.c
    ordered = sorted(keys)
    for start in range(0, len(ordered), _PARAMETERS):
        some = select(suppression_table).where(table.key.in_(ordered[start : start + _PARAMETERS]))
        # Locks are acquired in one order, so that two transactions never deadlock.
        rows = tx.execute(some.order_by(table.key, table.topic).with_for_update() if to_change else some)
        found += map(from_row, rows)
    return found


def find_blocking(tx: Connection, keys: Collection[str]) -> list[Suppression]:
    """Read the entries that may block the mail to some addresses: their own and their domains', in one statement.

    The keys are one parameter: SQLAlchemy needs 5 µs for each parameter of a list.
    """
    domains = {key.rpartition("@")[2] for key in keys}
    listed = [*keys, *(key for domain in domains for key in list_domain_keys(domain))]
    if tx.dialect.name == "postgresql":
        return list(map(from_row, tx.execute(_BLOCKING_POSTGRES, {"keys": listed})))
    return list(map(from_row, tx.execute(_BLOCKING_SQLITE, {"keys": orjson.dumps(listed).decode()})))


_BLOCKING_POSTGRES = select(suppression_table).where(
    suppression_table.c.key == any_(bindparam("keys", type_=ARRAY(Text)))
)
_BLOCKING_SQLITE = select(suppression_table).where(
    suppression_table.c.key.in_(select(func.json_each(bindparam("keys", type_=Text)).table_valued("value").c.value))
)


def add_many_suppressions(tx: Connection, suppressions: Sequence[Suppression]) -> int:
    """Add a block of those that are not there yet, quickly; returns how many were added."""
    before = count_suppressions(tx)
    if suppressions:
        tx.execute(insert_if_absent(tx, suppression_table), [_to_row(s) for s in sorted(suppressions, key=_place)])
    return count_suppressions(tx) - before


def count_suppressions(tx: Connection) -> int:
    """Count the list's entries."""
    return tx.execute(select(func.count()).select_from(suppression_table)).scalar_one()


def remove_some_suppressions(tx: Connection, suppressions: Iterable[Suppression]) -> int:
    """Remove entries, by address and topic; returns how many were there."""
    table = suppression_table.c
    return sum(
        tx.execute(delete(suppression_table).where(table.key == one.key, table.topic == one.topic)).rowcount
        for one in suppressions
    )


def remove_suppressions(tx: Connection, key: str) -> None:
    """Remove an address from the list, whatever the topic; the transient bounces counted so far go with it."""
    tx.execute(delete(suppression_table).where(suppression_table.c.key == key))
    tx.execute(delete(soft_bounce_table).where(soft_bounce_table.c.key == key))


def iterate_suppressions(ledger: Ledger) -> Iterator[list[Suppression]]:
    """Read the whole list in blocks, ordered by address and topic; never all of it in memory.

    Each block is a transaction of its own, so the caller may take its time. An entry that is added or removed meanwhile
    may be missing or not: a worker looks up every recipient again before it sends.
    """
    table = suppression_table.c
    place = tuple_(table.key, table.topic)
    ordered = select(suppression_table).order_by(table.key, table.topic).limit(_ROWS_AT_ONCE)
    block: list[Suppression] | None = None
    while block is None or len(block) == _ROWS_AT_ONCE:
        later = ordered if block is None else ordered.where(place > tuple_(block[-1].key, block[-1].topic))
        with ledger.read() as tx:
            block = [from_row(row) for row in tx.execute(later)]
        if block:
            yield block


def _to_row(item: Suppression) -> dict[str, Any]:
    return {
        "key": item.key,
        "topic": item.topic,
        "reason": str(item.reason),
        "source": item.source,
        "at": item.at,
        "event": item.event,
        "address": item.address,
        "proof": item.proof,
    }


def from_row(row: Row[Any]) -> Suppression:
    """Make an entry of a row of the table."""
    return Suppression(row.key, row.topic, row.reason, row.source, row.at, row.event, row.address, row.proof)
