"""What receivers say of mail in our name: how much passes DMARC, and who else sends as us."""

from collections.abc import Iterator
from typing import Any

import msgspec
import polars as pl
from msgspec import Struct

from engine.quantities import format_count

_MOST_LINES = 10
MOST_SOURCES = 50  # of each domain, the largest first
_SES = r"(^|\.)amazonses\.com$"


class DmarcSource(Struct, frozen=True):
    """The mail of one sender.

    Attributes:
        source_ip: where it came from.
        sender: the domain that it authenticated as; empty where none passed.
        through_ses: whether SES sent it, as its SPF domain or its signature shows.
        messages: how many.
        failed: how many of them failed DMARC.
        rejected: how many the receivers quarantined or rejected.
    """

    source_ip: str
    sender: str
    through_ses: bool
    messages: int
    failed: int
    rejected: int


class DmarcDomain(Struct, frozen=True):
    """The mail with one domain in From.

    Attributes:
        domain: of From.
        messages: how many.
        failed: how many of them failed DMARC: neither SPF nor DKIM passed for this domain.
        by_us: how many came through SES.
        sources: the largest first; those that failed before the others.
        left_out: how many sources are not listed.
    """

    domain: str
    messages: int
    failed: int
    by_us: int
    sources: tuple[DmarcSource, ...]
    left_out: int


class DmarcPicture(Struct, frozen=True):
    """What the reports of a time say.

    Attributes:
        reports: how many are counted.
        reporters: who wrote them.
        unproven: how many are left out because their sender is not proven.
        domains: the domains in From, the largest first.
    """

    reports: int
    reporters: tuple[str, ...]
    unproven: int
    domains: tuple[DmarcDomain, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the document of --json."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    def to_lines(self) -> Iterator[str]:
        """Write it for a terminal; texts of reports are not escaped."""
        if not self.reports and not self.unproven:
            yield "DMARC reports: none; send them to an address that mailrun inbound reads (rua= of your DMARC record)"
            return
        yield f"{format_count(self.reports, 'DMARC report')} by {', '.join(self.reporters) or 'nobody'}"
        if self.unproven:
            reports = format_count(self.unproven, "report")
            yield f"  {reports} not counted: it is not proven who sent them; see [inbound] authserv_id"
        for one in self.domains:
            yield (
                f"  {one.domain}: {format_count(one.messages, 'message')}, {one.failed:,} failed DMARC,"
                f" {one.by_us:,} through SES"
            )
            for source in one.sources[:_MOST_LINES]:
                if source.failed or not source.through_ses:
                    yield _write_source(source)


def _write_source(source: DmarcSource) -> str:
    through = "SES" if source.through_ses else "not SES"
    sender = f"as {source.sender}" if source.sender else "not authenticated"
    state = f"{source.failed:,} of {source.messages:,} failed" if source.failed else f"{source.messages:,} passed"
    rejected = f", {source.rejected:,} quarantined or rejected" if source.rejected else ""
    return f"    {source.source_ip:<24} {through}, {sender}: {state}{rejected}"


def summarize_dmarc(rows: pl.DataFrame) -> DmarcPicture:
    """Sum up reports.

    Args:
        rows: columns as DMARC_SCHEMA of engine.store.dmarc_reports.
    """
    identity = ["reporter", "report_id", "domain"]
    unproven = rows.filter(~pl.col("proven")).select(identity).n_unique()
    rows = rows.filter("proven")
    counted = rows.select(identity).n_unique()
    failed = (pl.col("dkim") != "pass") & (pl.col("spf") != "pass")
    signers = pl.col("dkim_domains").list
    rows = rows.with_columns(
        from_domain=pl.when(pl.col("header_from") != "").then("header_from").otherwise("domain"),
        failed=pl.when(failed).then("messages").otherwise(0),
        rejected=pl.when(pl.col("disposition").is_in(["quarantine", "reject"])).then("messages").otherwise(0),
        ses=pl.col("spf_domain").str.contains(_SES) | signers.eval(pl.element().str.contains(_SES)).list.any(),
        sender=pl.coalesce(signers.first(), "spf_domain", pl.lit("")),
    )
    totals = (
        rows.group_by("from_domain")
        .agg(pl.col("messages", "failed").sum(), by_us=pl.col("messages").filter(pl.col("ses")).sum())
        .sort(["messages", "from_domain"], descending=[True, False])
    )
    sources = (
        rows.group_by("from_domain", "source_ip", "sender")
        .agg(pl.col("ses").any(), pl.col("messages", "failed", "rejected").sum())
        .sort(["failed", "messages", "source_ip", "sender"], descending=[True, True, False, False])
    )
    domains = tuple(
        _make_domain(name, messages, bad, by_us, sources.filter(pl.col("from_domain") == name))
        for name, messages, bad, by_us in totals.iter_rows()
    )
    return DmarcPicture(counted, tuple(sorted(set(rows.get_column("reporter")))), unproven, domains)


def _make_domain(name: str, messages: int, failed: int, by_us: int, sources: pl.DataFrame) -> DmarcDomain:
    listed = sources.head(MOST_SOURCES).select("source_ip", "sender", "ses", "messages", "failed", "rejected")
    return DmarcDomain(
        domain=name,
        messages=messages,
        failed=failed,
        by_us=by_us,
        sources=tuple(DmarcSource(*row) for row in listed.iter_rows()),
        left_out=max(0, sources.height - MOST_SOURCES),
    )
