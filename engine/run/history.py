"""Telling the store's history whom messages went to, for frequency caps."""

from datetime import date

import polars as pl

from engine.ledger.journal import Outcome
from engine.run.open_lease import OpenLease
from engine.run.planning import FrozenRun
from engine.store.history import write_history

_COUNTED = (Outcome.SENT, Outcome.IN_DOUBT)


def write_lease_history(frozen: FrozenRun, opened: OpenLease, day: date) -> None:
    """Record the messages of a lease whose rows all have their outcome; what is in doubt may have arrived, and counts.

    Args:
        frozen: the run.
        opened: the lease.
        day: today, in UTC.
    """
    handed_over = [result for result in opened.results.values() if result.outcome in _COUNTED]
    milliseconds = pl.Series([int(result.at * 1000) for result in handed_over], dtype=pl.Int64)
    times = pl.DataFrame(
        {
            "row": pl.Series([result.row for result in handed_over], dtype=pl.UInt64),
            "at": milliseconds.cast(pl.Datetime("ms", "UTC")),
        }
    )
    messages = opened.recipients.select("row", "key").drop_nulls("key").join(times, on="row")
    write_history(frozen.store, frozen.run.name, opened.lease.ordinal, messages, day)
