"""`[audience.checks] insights`: the answers of SES that a plan applies, and how new addresses are looked up."""

from datetime import datetime
from typing import Protocol

import polars as pl

from engine.audience.planning.insights import Insights
from engine.audience.spec import ChecksSpec
from engine.store.insights import ANSWERED, read_insights
from engine.store.port import Store

_OBJECTION = "SES does not expect to reach it"


class AskInsights(Protocol):
    """Looks addresses up."""

    def __call__(self, addresses: pl.DataFrame, store: Store) -> None:
        """Look up `address`, and keep the answers under `key` in the store."""


def read_answers(checks: ChecksSpec, store: Store | None, now: datetime) -> Insights:
    """Read what SES has answered already.

    Args:
        checks: with `insights` on.
        store: keeps the answers; None for none.
        now: aware.

    Raises:
        DataError: a file of answers is damaged.
    """
    found = pl.DataFrame(schema=ANSWERED) if store is None else read_insights(store, now)
    reasons = pl.when(pl.col("reasons") != "").then(pl.format(" ({})", "reasons")).otherwise(pl.lit(""))
    detail = pl.when(pl.col("valid") == "LOW").then(pl.format(f"{_OBJECTION}{{}}", reasons)).alias("detail")
    return Insights(checks.insights, checks.insights_budget or 0, found.select("key", detail))
