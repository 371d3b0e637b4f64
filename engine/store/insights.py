"""What SES answered about addresses (GetEmailAddressInsights): paid for once, and kept in the store by day."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta

import polars as pl

from engine.errors import DataError
from engine.store.day_folders import find_day_files, write_day_file
from engine.store.port import Store

ANSWERED: Mapping[str, pl.DataType | type[pl.DataType]] = {"key": pl.String, "valid": pl.String, "reasons": pl.String}
INSIGHTS_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    **ANSWERED,
    "at": pl.Datetime("ms", "UTC"),
}
INSIGHTS = "insights"
KEPT = timedelta(days=90)  # then an address is asked about again: mailboxes are closed and opened


def write_insights(store: Store, answers: pl.DataFrame, now: datetime) -> None:
    """Add answers.

    Args:
        store: keeps them.
        answers: `key` (the normalised address), `valid` (LOW, MEDIUM, HIGH; null where SES gave no verdict), `reasons`.
        now: when they were given, aware.

    Raises:
        PausedError: the disk is full or failing.
        ConfigurationError: the store may not be written.
    """
    rows = answers.with_columns(at=pl.lit(now).cast(pl.Datetime("ms", "UTC"))).select(*INSIGHTS_SCHEMA)
    write_day_file(store, INSIGHTS, now.date(), uuid.uuid4().hex, rows)


def read_insights(store: Store, now: datetime) -> pl.DataFrame:
    """Read the answers that are not older than KEPT; the last one for each address.

    Returns:
        Columns as INSIGHTS_SCHEMA.

    Raises:
        DataError: a file is damaged.
    """
    folder = store.fetch(INSIGHTS)
    files = find_day_files(folder, (now - KEPT).date())
    nothing = pl.DataFrame(schema=INSIGHTS_SCHEMA)
    if not files:
        return nothing
    try:
        found = pl.read_parquet(files, glob=False, hive_partitioning=False).select(*INSIGHTS_SCHEMA)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"the insights cannot be read: {str(error).splitlines()[0]}",
            where=str(folder),
            remedy="restore the file, or remove the folder: the addresses are asked about again",
        ) from error
    return found.filter(pl.col("at") > now - KEPT).sort("at").unique("key", keep="last", maintain_order=True)
