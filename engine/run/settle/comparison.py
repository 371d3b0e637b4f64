"""Compares the accounts of a run with the receiving side's own list."""

from collections.abc import Mapping
from typing import Any

import polars as pl
from msgspec import Struct, field

from engine.ledger.journal import Outcome
from engine.quantities import format_count

_SHOWN = 5
COMPARED_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "row": pl.UInt64,
    "message_id": pl.String,
    "outcome": pl.String,
}


class Comparison(Struct, frozen=True):
    """What the comparison found.

    Attributes:
        listed: messages on the list, without those of others.
        matched: recipients that count as sent and are on it.
        missing: recipients that count as sent and are not on it.
        twice: recipients that are on it more than once.
        unknown: messages on it that no recipient accounts for.
        foreign: messages of other systems on it, which name no run and are none of ours by their message ids.
        in_doubt_arrived: recipients in doubt that are on it: settle them with `resolve --sent --file`.
        problems: a sentence for each kind of contradiction.
    """

    listed: int
    matched: int
    missing: int
    twice: int
    unknown: int
    foreign: int
    in_doubt_arrived: int
    problems: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `audit --against --json`."""
        names = ("listed", "matched", "missing", "twice", "unknown", "foreign", "in_doubt_arrived")
        return {name: getattr(self, name) for name in names}


def compare(ours: pl.DataFrame, received: pl.DataFrame) -> Comparison:
    """Compare outcomes with a list.

    A recipient that counts as sent must be on it, by its message id. Where both sides have the row, no recipient may be
    on it twice, and every recipient on it must be sent or in doubt.

    Args:
        ours: COMPARED_SCHEMA, all recipients that have an outcome.
        received: the list, as `read_list` gives it.
    """
    listed = received.drop_nulls("message_id").unique("message_id")
    sent = ours.filter(pl.col("outcome") == Outcome.SENT)
    known = sent.drop_nulls("message_id")
    matched = known.join(listed, on="message_id", how="semi")
    settled_by_hand = sent.filter(pl.col("message_id").is_null()).join(listed, on="row", how="semi")
    missing = known.height - matched.height
    unmatched = listed.join(known, on="message_id", how="anti")
    foreign = unmatched.height - unmatched.filter("is_ours").height
    unmatched = unmatched.filter("is_ours")
    by_row = unmatched.join(ours.select("row", "outcome"), on="row", how="left")
    in_doubt = by_row.filter((pl.col("outcome") == Outcome.IN_DOUBT).fill_null(value=False))
    by_hand = by_row.join(settled_by_hand, on="row", how="semi")
    unknown = by_row.height - in_doubt.height - by_hand.height
    twice = listed.drop_nulls("row").group_by("row").len().filter(pl.col("len") > 1)
    absent = known.join(listed, on="message_id", how="anti")["row"]
    problems = []
    if missing:
        count = "counts" if missing == 1 else "count"
        problems.append(f"not on the list: {format_count(missing, 'recipient')} that {count} as sent{_show(absent)}")
    if twice.height:
        problems.append(f"more than once on the list: {format_count(twice.height, 'recipient')}{_show(twice['row'])}")
    if unknown:
        messages = format_count(unknown, "message")
        problems.append(f"on the list, but not sent and not in doubt: {messages}")
    return Comparison(
        listed=listed.height - foreign,
        matched=matched.height + settled_by_hand.height,
        missing=missing,
        twice=twice.height,
        unknown=unknown,
        foreign=foreign,
        in_doubt_arrived=in_doubt.height,
        problems=problems,
    )


def _show(rows: pl.Series) -> str:
    shown = ", ".join(str(row) for row in rows.sort().head(_SHOWN))
    return f": rows {shown}" + (", …" if rows.len() > _SHOWN else "")
