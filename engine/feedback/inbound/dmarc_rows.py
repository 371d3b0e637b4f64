"""Keeps DMARC aggregate reports in the store."""

import msgspec
import polars as pl

from engine.feedback.inbound.dmarc_reports import DmarcReport
from engine.store.dmarc_reports import DMARC_SCHEMA, write_dmarc_report
from engine.store.port import Store


def keep_report(store: Store, report: DmarcReport, is_proven: bool) -> None:  # noqa: FBT001 - called by position
    """Keep a report; a report that arrives twice is kept once.

    Args:
        store: keeps it.
        report: what it says.
        is_proven: whether the mail is certainly of the domain in its From.

    Raises:
        PausedError: the disk is full or failing.
        ConfigurationError: the store may not be written.
    """
    common = {
        "reporter": report.reporter,
        "report_id": report.report_id,
        "domain": report.domain,
        "policy": report.policy,
        "began": report.began,
        "ended": report.ended,
        "proven": is_proven,
    }
    rows = [common | msgspec.structs.asdict(row) for row in report.rows]
    if rows:
        write_dmarc_report(store, pl.DataFrame(rows, schema=DMARC_SCHEMA), report.ended)
