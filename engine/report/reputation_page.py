"""The account's reputation as text for a terminal, and as JSON."""

from collections.abc import Iterator, Sequence
from datetime import UTC, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from engine.account.reputation.limits import SES_LIMITS, RateKind, RateLimit, RateMark, compare_rate, list_limits
from engine.account.reputation.picture import SesReputation
from engine.account.reputation.rates import RateSeries
from engine.account.reputation.vdm import VdmFigures
from engine.errors import escape_controls
from engine.quantities import format_count
from engine.report.dmarc_figures import DmarcPicture
from engine.report.own_figures import OwnFigures, OwnReputation

_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"
_A_DAY = timedelta(days=1)
_COLUMNS = ("bounced", "rate", "complained", "rate")
MOST_ROWS = 20  # of one table
_NO_EVENTS = "no events of recent runs; mailrun events pull reads them"


class ReputationReport(Struct, frozen=True):
    """What `mailrun ses reputation` shows.

    Attributes:
        ses: as SES sees the account.
        own: as the events of our runs show it; None where the ledger could not be read.
        own_problem: why not.
        dmarc: what receivers report of mail in our name; None where the store could not be read.
    """

    ses: SesReputation
    own: OwnReputation | None
    own_problem: str = ""
    dmarc: DmarcPicture | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether SES has stopped the account, or a rate has reached the level at which it may."""
        if self.ses.enforcement == "SHUTDOWN" or self.ses.sending_enabled is False:
            return True
        return any(
            series.configuration_set is None
            and series.latest is not None
            and series.latest.value >= SES_LIMITS[series.kind].upper
            for series in self.ses.rates
        )

    def to_json(self) -> dict[str, Any]:
        """Return the document of --json."""
        ses = self.ses
        own = self.own
        return {
            "region": ses.region,
            "at": ses.at.isoformat(),
            "days": ses.days,
            "enforcement": ses.enforcement,
            "sending_enabled": ses.sending_enabled,
            "over_pause_level": self.is_stopped,
            "rates": [_rate_to_json(series, ses) for series in ses.rates],
            "vdm": None if ses.vdm is None else msgspec.to_builtins(ses.vdm),
            "recommendations": msgspec.to_builtins(ses.recommendations),
            "entities": msgspec.to_builtins(ses.entities),
            "suppressed": msgspec.to_builtins(ses.suppressed),
            "receivers": None if own is None else [one.to_json() for one in own.receivers],
            "runs": None if own is None else [one.to_json() for one in own.runs],
            "dmarc": None if self.dmarc is None else self.dmarc.to_json(),
            "missing": msgspec.to_builtins(ses.missing),
        }

    def to_lines(self) -> Iterator[str]:
        """Write the report; texts of SES are escaped."""
        ses = self.ses
        state = ses.enforcement or "state unknown"
        paused = ", sending is paused" if ses.sending_enabled is False else ""
        yield f"SES account in {ses.region}: {state}{paused}; the last {format_count(ses.days, 'day')}"
        yield from map(escape_controls, self._list_rates())
        yield from map(escape_controls, self._list_vdm())
        yield from map(escape_controls, self._list_findings())
        yield from map(escape_controls, self._list_own())
        if self.dmarc is not None:
            yield from map(escape_controls, self.dmarc.to_lines())
        for part in ses.missing:
            yield escape_controls(f"not shown: {part.part}: {part.what}")
            yield escape_controls(f"   do: {part.remedy}")

    def _list_rates(self) -> Iterator[str]:
        yield "rates as SES computes them:"
        known = [series for series in self.ses.rates if series.points]
        if not known:
            yield "  none yet: SES publishes them after the first bounces or complaints"
        for series in known:
            latest = series.latest
            assert latest is not None  # noqa: S101 - the series has points
            trend = draw_trend(series.by_day(self.ses.at.date(), self.ses.days), SES_LIMITS[series.kind].lower)
            of = "account" if series.configuration_set is None else f"set {series.configuration_set}"
            name = f"{of}, {series.kind}s"
            yield f"  {name:<32} {format_rate(latest.value):>7}  {trend}  {describe_marks(latest.value, series.kind)}"
            if self.ses.at - latest.at > _A_DAY:
                yield f"    of {latest.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC: SES has published none since"

    def _list_vdm(self) -> Iterator[str]:
        vdm = self.ses.vdm
        if vdm is None:
            return
        yield _write_row("metrics of VDM", "sent", "delivered", _COLUMNS)
        for one in vdm.figures[:MOST_ROWS]:
            yield _write_vdm(one)
        if not vdm.figures:
            yield "  nothing was sent"
        hidden = vdm.left_out + max(0, len(vdm.figures) - MOST_ROWS)
        if hidden:
            yield f"  {hidden:,} more are not shown; --json has those that were read"
        if vdm.unanswered:
            yield f"  SES left {format_count(vdm.unanswered, 'query', 'queries')} unanswered: run the command again"

    def _list_findings(self) -> Iterator[str]:
        ses = self.ses
        for one in ses.recommendations:
            yield f"recommendation, {one.kind}, impact {one.impact.lower()}: {one.text} ({one.resource})"
        for entity in ses.entities:
            if entity.impact or entity.sending == "DISABLED":
                impact = f", impact {entity.impact.lower()}" if entity.impact else ""
                yield f"entity {entity.resource}: sending {entity.sending.lower()}{impact} {entity.cause}".rstrip()
        grown = ses.suppressed
        if grown is not None:
            counts = ", ".join(f"{number:,} {reason.lower()}" for reason, number in grown.by_reason.items())
            total = sum(grown.by_reason.values())
            more = "at least " if grown.is_cut else ""
            cut = "; the list is longer than the command reads" if grown.is_cut else ""
            yield f"suppression list: {more}{total:,} added{f' ({counts})' if counts else ''}{cut}"

    def _list_own(self) -> Iterator[str]:
        if self.own is None:
            yield f"our own figures are not shown: {self.own_problem}"
            return
        yield _write_row("our own figures, by receiver", "accepted", "delivered", _COLUMNS)
        yield from map(_write_own, self.own.receivers[:MOST_ROWS])
        if not self.own.receivers:
            yield f"  {_NO_EVENTS}"
        if self.own.runs:
            yield "by run"
            yield from map(_write_own, self.own.runs[:MOST_ROWS])
        if len(self.own.runs) > MOST_ROWS:
            yield f"  {len(self.own.runs) - MOST_ROWS:,} more runs: --json has them"


def describe_marks(rate: float, kind: RateKind) -> str:
    """Describe where a rate stands.

    >>> describe_marks(0.002, RateKind.COMPLAINT)
    'over: SES 0.10%; over: Gmail 0.10%'
    """
    parts = []
    for limit in list_limits(kind):
        standing = compare_rate(rate, limit)
        against = limit.lower if standing.passed is None else standing.passed
        parts.append(f"{standing.mark}: {limit.whose} {format_rate(against)}")
    return "; ".join(parts)


def format_rate(rate: float | None) -> str:
    """Format a rate as a percentage; empty where it is unknown.

    >>> format_rate(0.0512), format_rate(0.0005), format_rate(None)
    ('5.1%', '0.05%', '')
    """
    if rate is None:
        return ""
    return f"{rate:.1%}" if rate >= 0.01 or rate == 0 else f"{rate:.2%}"


def draw_trend(days: Sequence[float | None], limit: float) -> str:
    """Draw rates of days as bars; the highest bar is twice the limit or more.

    >>> draw_trend([None, 0.0, 0.05, 0.5], 0.05)
    '·▁▅█'
    """
    top = len(_BARS) - 1
    return "".join(_GAP if rate is None else _BARS[min(top, round(rate / (2 * limit) * top + 0.01))] for rate in days)


def _rate_to_json(series: RateSeries, ses: SesReputation) -> dict[str, Any]:
    latest = series.latest
    return {
        "rate": str(series.kind),
        "configuration_set": series.configuration_set,
        "latest": None if latest is None else latest.value,
        "at": None if latest is None else latest.at.isoformat(),
        "days": series.by_day(ses.at.date(), ses.days),
        "marks": [] if latest is None else [_mark_to_json(latest.value, limit) for limit in list_limits(series.kind)],
    }


def _mark_to_json(rate: float, limit: RateLimit) -> dict[str, Any]:
    standing = compare_rate(rate, limit)
    return {
        "whose": limit.whose,
        "mark": str(standing.mark),
        "lower": limit.lower,
        "upper": limit.upper,
        "passed": standing.passed,
    }


def _write_vdm(one: VdmFigures) -> str:
    kinds = {"ISP": "receiver", "EMAIL_IDENTITY": "identity", "CONFIGURATION_SET": "set"}
    name = f"{kinds[one.group.dimension]} {one.group.name}" if one.group.dimension else "account"

    def show(metric: str) -> str:
        return f"{one.counts[metric]:,}" if metric in one.counts else "?"

    bounces, complaints = one.share("PERMANENT_BOUNCE", "SEND"), one.share("COMPLAINT", "DELIVERY_COMPLAINT")
    bad = (show("PERMANENT_BOUNCE"), format_rate(bounces), show("COMPLAINT"), format_rate(complaints))
    return _write_row(f"  {name}", show("SEND"), show("DELIVERY"), bad) + _write_marks(bounces, complaints)


def _write_own(one: OwnFigures) -> str:
    bad = (
        f"{one.bounced:,}",
        format_rate(one.bounce_rate),
        f"{one.complained:,}",
        format_rate(one.complaint_rate),
    )
    row = _write_row(f"  {one.name}", f"{one.accepted:,}", f"{one.delivered:,}", bad)
    return row + _write_marks(one.bounce_rate, one.complaint_rate)


def _write_row(name: str, sent: str, delivered: str, bad: tuple[str, str, str, str]) -> str:
    bounced, bounce_rate, complained, complaint_rate = bad
    return f"{name:<34}{sent:>10}{delivered:>11}{bounced:>9}{bounce_rate:>8}{complained:>12}{complaint_rate:>8}"


def _write_marks(bounces: float | None, complaints: float | None) -> str:
    """Write what is near or over a limit of SES; of one receiver, that is a hint and no limit of its own."""
    rates = ((RateKind.BOUNCE, bounces), (RateKind.COMPLAINT, complaints))
    standings = [(kind, compare_rate(rate, SES_LIMITS[kind])) for kind, rate in rates if rate is not None]
    marks = [f"{kind}s {standing.mark}" for kind, standing in standings if standing.mark is not RateMark.OK]
    return f"  {', '.join(marks)}" if marks else ""
