"""DMARC aggregate reports in the store: a Parquet file for each report, by the day on which its time ends."""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime

import polars as pl

from engine.errors import DataError
from engine.store.day_folders import find_day_files, write_day_file
from engine.store.port import Store

DMARC = "dmarc"
DMARC_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "reporter": pl.String,
    "report_id": pl.String,
    "domain": pl.String,
    "policy": pl.String,
    "began": pl.Datetime("ms", "UTC"),
    "ended": pl.Datetime("ms", "UTC"),
    "proven": pl.Boolean,
    "source_ip": pl.String,
    "messages": pl.Int64,
    "disposition": pl.String,
    "dkim": pl.String,
    "spf": pl.String,
    "header_from": pl.String,
    "dkim_domains": pl.List(pl.String),
    "spf_domain": pl.String,
}


def write_dmarc_report(store: Store, rows: pl.DataFrame, ended: datetime) -> None:
    """Keep a report; the same report again, of a mail that arrives twice, replaces it.

    Args:
        store: keeps it.
        rows: columns as DMARC_SCHEMA, all of one report.
        ended: the end of its time, aware.

    Raises:
        PausedError: the disk is full or failing.
        ConfigurationError: the store may not be written.
    """
    first = rows.select("reporter", "report_id", "domain", "proven").row(0)
    name = hashlib.sha256("\n".join(map(str, first)).encode()).hexdigest()[:32]
    write_day_file(store, DMARC, ended.date(), name, rows.select(*DMARC_SCHEMA))


def read_dmarc_reports(store: Store, since: date) -> pl.DataFrame:
    """Read the reports whose time ended on a day or later.

    Returns:
        Columns as DMARC_SCHEMA.

    Raises:
        DataError: a file is damaged.
    """
    folder = store.fetch(DMARC)
    files = find_day_files(folder, since)
    if not files:
        return pl.DataFrame(schema=DMARC_SCHEMA)
    try:
        return pl.read_parquet(files, glob=False, hive_partitioning=False).select(*DMARC_SCHEMA)
    except (OSError, pl.exceptions.PolarsError) as error:
        what = f"the DMARC reports cannot be read: {str(error).splitlines()[0]}"
        raise DataError(what, where=str(folder), remedy="restore the file, or remove it") from error
