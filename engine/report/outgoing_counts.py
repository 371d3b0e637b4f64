"""Counts the recipients of a run by the IP address that their message left from, from the events in the store.

SES names the address in the tag `ses:outgoing-ip` of events that happen once a message has left: deliveries and bounces
(https://docs.aws.amazon.com/ses/latest/dg/faqs-managed-dips.html). Other events of the same message count for the same
address. Memory is bounded: messages are read in parts, all events of a message in the same one.
"""

import math
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import polars as pl

from engine.feedback.events.event_files import DAMAGED, list_days, scan_day
from engine.feedback.events.rules import find_rule
from engine.ledger.event_flags import Flag
from engine.report.outgoing_addresses import OutgoingAddress
from engine.store.port import Store

EVENTS_AT_ONCE = 2_000_000
COUNTED = {
    "sent": Flag.PROVEN,
    "delivered": Flag.DELIVERED,
    "bounced": Flag.BOUNCED,
    "soft_bounced": Flag.SOFT_BOUNCED,
    "complained": Flag.COMPLAINED,
    "delayed": Flag.DELAYED,
}
_COLUMNS = ("id", "kind", "subtype", "at", "message_id", "row", "outgoing_ip")


def count_outgoing(
    store: Store, run: str, since: datetime, *, at_once: int = EVENTS_AT_ONCE
) -> tuple[OutgoingAddress, ...]:
    """Count the recipients of a run by the address that their message left from.

    Args:
        store: has the events.
        run: its name.
        since: no event of the run is older.
        at_once: events in memory, about.

    Returns:
        In order of the addresses; messages without one are the last.
    """
    days = [scan_day(store, day) for day in list_days(store) if day >= since.date()]
    if not days:
        return ()
    mine = pl.concat(days).filter(pl.col("run") == run, pl.col("match") != DAMAGED).select(_COLUMNS)
    total, pairs = int(mine.select(pl.len()).collect().item()), mine.select("kind", "subtype").unique().collect()
    flags = _make_flags(pairs.iter_rows())
    parts = max(1, math.ceil(total / at_once))
    counts: dict[str | None, Counter[str]] = {}
    for part in range(parts):
        events = mine.filter(pl.col("message_id").hash(seed=0) % parts == part).collect()
        for address, *found in _count(events, flags).iter_rows():
            counts.setdefault(address, Counter()).update(dict(zip(COUNTED, found, strict=True)))
    named = sorted((address is None, address or "") for address in counts)
    return tuple(_make(None if is_unknown else address, counts) for is_unknown, address in named)


def _make(address: str | None, counts: dict[str | None, Counter[str]]) -> OutgoingAddress:
    return OutgoingAddress(address, **{name: counts[address][name] for name in COUNTED})


def _make_flags(pairs: Iterable[tuple[str, str]]) -> pl.DataFrame:
    """Make a table of what each kind of event says: a column of booleans for each count."""
    found = [(kind, subtype, find_rule(kind, subtype).flags) for kind, subtype in pairs]
    rows = [(kind, subtype, *(bool(flags & one) for one in COUNTED.values())) for kind, subtype, flags in found]
    schema = {"kind": pl.String, "subtype": pl.String} | dict.fromkeys(COUNTED, pl.Boolean)
    return pl.DataFrame(rows, schema=schema, orient="row")


def _count(events: pl.DataFrame, flags: pl.DataFrame) -> pl.DataFrame:
    """Count recipients by address: the address, then COUNTED."""
    of_message = pl.col("outgoing_ip").drop_nulls().last().over("message_id")
    ruled = (
        events.sort("outgoing_ip", nulls_last=True)
        .unique("id", keep="first", maintain_order=True)
        .sort("at")
        .with_columns(pl.coalesce("outgoing_ip", of_message).alias("outgoing_ip"))
        .join(flags, on=["kind", "subtype"], how="left")
    )
    recipients = ruled.group_by("outgoing_ip", "message_id", "row").agg(pl.col(*COUNTED).any())
    return recipients.group_by("outgoing_ip").agg(pl.col(*COUNTED).sum())
