"""The guard: pauses a run whose bounces, complaints or failures would harm the account.

Pure: counts in, findings out. It compares the exact lower bound of a rate, at CONFIDENCE, with a limit. Above the limit
the run pauses; above half of it the guard logs a warning.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from engine.quantities import format_count
from engine.report.binomial import find_lower_bound, is_above

# At a rate exactly at its limit, one check in a thousand pauses wrongly. The guard checks often: at half the limit,
# all checks of a run of any length together pause wrongly in less than 1 of 5,000 runs
# (docs/explanation/guard-statistics.md).
CONFIDENCE = 0.999
WARN_AT = 0.5  # of the limit
DOMAIN_LIMIT = 2.0  # times the run's limit: rates of receivers differ, and some are above the mean
# SES reviews an account at these, and may pause it at 10 % and 0.5 % (AWS, "Amazon SES sending review process FAQs").
ACCOUNT_BOUNCE_RATE = 0.05
ACCOUNT_COMPLAINT_RATE = 0.001
ERRORS_KEPT = 100  # different errors; some contain the address, and memory must not grow with them


class GuardRate(StrEnum):
    """The rates that the guard judges."""

    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    REFUSAL = "refusal"
    FAILURE = "failure"


class GuardLevel(StrEnum):
    """The effect of a finding."""

    WARNING = "warning"
    PAUSE = "pause"


# With fewer, a high rate is not significant: a few bad events may have one cause, such as a server that is down.
FEWEST: Mapping[GuardRate, int] = {
    GuardRate.BOUNCE: 10,
    GuardRate.COMPLAINT: 5,
    GuardRate.REFUSAL: 10,
    GuardRate.FAILURE: 10,
}
FEWEST_LOSSES = FEWEST[GuardRate.FAILURE]
BEYOND_THE_RUN = 2  # times as many, for receivers and the account

_WORDS = {
    GuardRate.BOUNCE: "bounced",
    GuardRate.COMPLAINT: "complained",
    GuardRate.REFUSAL: "were refused",
    GuardRate.FAILURE: "were refused, failed or left in doubt",
}
_REMEDIES = {
    GuardRate.BOUNCE: "find out where these addresses are from, and clean the audience",
    GuardRate.COMPLAINT: "find out whether these recipients asked for this mail, and where their addresses come from",
    GuardRate.REFUSAL: "correct the account or the content; a corrected template or audience needs another --key",
    GuardRate.FAILURE: "correct the account; a corrected template or audience needs another --key",
}
THE_RUN, THE_ACCOUNT = "the run", "the account"


class GuardMeasure(Struct, frozen=True, kw_only=True):
    """Counts that are compared with a limit.

    Attributes:
        scope: THE_RUN, THE_ACCOUNT, or a receiver's domain.
        bad: number of bounces, complaints and so on.
        judged: number of messages that they are a part of.
        limit: the rate that pauses, 0 to 1.
        fewest: of bad ones, for any finding.
        setting: the key of the limit, for people.
    """

    rate: GuardRate
    scope: str
    bad: int
    judged: int
    limit: float
    fewest: int
    setting: str


class GuardFinding(Struct, frozen=True):
    """A rate that is above its limit, or above its warning level.

    Attributes:
        measure: the counts.
        level: whether it pauses.
        at_least: the lower bound of the rate, with CONFIDENCE.
        more: text to append to the description.
    """

    measure: GuardMeasure
    level: GuardLevel
    at_least: float
    more: str = ""

    def describe(self) -> str:
        """Describe the finding, for the run's reason."""
        m = self.measure
        where = "" if m.scope == THE_RUN else f" ({m.scope})" if m.scope == THE_ACCOUNT else f" at {m.scope}"
        return (
            f"{m.bad:,} of {format_count(m.judged, 'message')}{where} {_WORDS[m.rate]}:"
            f" {_percent(m.bad / max(1, m.judged))}, certainly more than {_percent(self.at_least)},"
            f" and {m.setting} is {_percent(m.limit)}{self.more}"
        )

    @property
    def remedy(self) -> str:
        """What to do."""
        return f"{_REMEDIES[self.measure.rate]}; to resume anyway: mailrun resume RUN, then launch again"

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `guard` in `--json`."""
        m = self.measure
        return {
            "level": str(self.level),
            "rate": str(m.rate),
            "scope": m.scope,
            "bad": m.bad,
            "judged": m.judged,
            "share": round(m.bad / max(1, m.judged), 6),
            "at_least": round(self.at_least, 6),
            "limit": m.limit,
        }


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.01 else f"{share:.2%}"


def judge(measures: Iterable[GuardMeasure]) -> list[GuardFinding]:
    """Compare counts with their limits; return the findings, those that pause first."""
    findings = [finding for measure in measures if (finding := _judge(measure)) is not None]
    return sorted(findings, key=lambda finding: finding.level is not GuardLevel.PAUSE)


def _judge(m: GuardMeasure) -> GuardFinding | None:
    if m.bad < m.fewest or not is_above(m.bad, m.judged, limit=m.limit * WARN_AT, confidence=CONFIDENCE):
        return None
    pauses = is_above(m.bad, m.judged, limit=m.limit, confidence=CONFIDENCE)
    level = GuardLevel.PAUSE if pauses else GuardLevel.WARNING
    return GuardFinding(m, level, find_lower_bound(m.bad, m.judged, CONFIDENCE))


class EventTotals(Struct, frozen=True, kw_only=True):
    """Recipients by kind of event, and recipients sent to.

    Events arrive late, and some kinds later than others. The denominator of a rate must be neither too large (all that
    was sent, whose events are an hour away) nor too small (bounces arrive before deliveries of the same minute). So it
    is the number of recipients whose result is known, but at least half of the recipients that SES has certainly
    accepted. In any order of events, a rate is never estimated at more than twice its true value.

    Attributes:
        proven: SES accepted the message: any event proves it.
        sent: handed over according to the ledger; at least `proven`.
    """

    proven: int = 0
    delivered: int = 0
    bounced: int = 0
    soft_bounced: int = 0
    complained: int = 0
    sent: int = 0

    def count_for_bounces(self, *, are_deliveries_reported: bool) -> int:
        """Count the recipients that the bounces are a part of.

        Args:
            are_deliveries_reported: an event destination publishes DELIVERY; otherwise `sent` is the only denominator.
        """
        if not are_deliveries_reported:
            return max(self.proven, self.sent, self.bounced)
        return max(self.delivered + self.bounced + self.soft_bounced, (self.proven + 1) // 2)

    def count_for_complaints(self, *, are_deliveries_reported: bool) -> int:
        """Count the recipients that the complaints are a part of: those who got the message."""
        if not are_deliveries_reported:
            return max(self.proven, self.sent, self.complained)
        return max(self.delivered, (self.proven + 1) // 2, self.complained)

    def without(self, seen: "EventTotals") -> "EventTotals":
        """Return the difference to an earlier count."""
        return EventTotals(**{name: max(0, getattr(self, name) - getattr(seen, name)) for name in TOTAL_NAMES})


TOTAL_NAMES = ("proven", "delivered", "bounced", "soft_bounced", "complained", "sent")


class FailureGuard(Struct):
    """Watches the share of messages that this worker could not send: refused, failed or in doubt.

    Args:
        max_failure_rate: `[guard] max_failure_rate`, 0 to 1: of all of them.
        max_refusal_rate: `[guard] max_refusal_rate`: of those that were refused; None: no limit of their own.
    """

    max_failure_rate: float
    max_refusal_rate: float | None = None
    done: int = 0
    lost: int = 0
    refused: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    finding: GuardFinding | None = None

    def count_sent(self, messages: int) -> None:
        """Count messages that were sent."""
        self.done += messages

    def count_lost(self, error: str, *, is_refused: bool = False) -> None:
        """Count one message that was not sent; `error` says why."""
        self.done += 1
        self.lost += 1
        self.refused += is_refused
        if error in self.errors or len(self.errors) < ERRORS_KEPT:
            self.errors[error] += 1
        if not self.tripped:
            found = judge(self._measure())
            self.finding = found[0] if found else self.finding

    def _measure(self) -> Iterable[GuardMeasure]:
        rates = [
            (GuardRate.FAILURE, self.lost, self.max_failure_rate),
            (GuardRate.REFUSAL, self.refused, self.max_refusal_rate),
        ]
        for rate, bad, limit in rates:
            if limit is not None:
                yield measure_run(rate, bad, self.done, limit)

    @property
    def tripped(self) -> bool:
        """Return whether too many were lost."""
        return self.finding is not None and self.finding.level is GuardLevel.PAUSE

    def describe(self) -> str:
        """Describe the finding, for the run's reason."""
        assert self.finding is not None  # noqa: S101 - called only where there is a finding
        return f"{self.finding.describe()}; most often: {self.errors.most_common(1)[0][0]}"


def measure_run(rate: GuardRate, bad: int, judged: int, limit: float) -> GuardMeasure:
    """Make a measure of a run's own rate."""
    return GuardMeasure(
        rate=rate,
        scope=THE_RUN,
        bad=bad,
        judged=judged,
        limit=limit,
        fewest=FEWEST[rate],
        setting=f"[guard] max_{rate}_rate",
    )


def measure_events(
    totals: EventTotals,
    *,
    bounce_limit: float,
    complaint_limit: float,
    are_deliveries_reported: bool,
    scope: str = THE_RUN,
) -> list[GuardMeasure]:
    """Make the measures of events: of a run, of one receiver, or of the account.

    Args:
        totals: since a person last resumed or approved the run.
        bounce_limit: of the run; a receiver's is DOMAIN_LIMIT times that.
        complaint_limit: the same of complaints.
        are_deliveries_reported: see EventTotals.
        scope: the run, a receiver's domain or the account.
    """
    reported = are_deliveries_reported
    counts = [
        (GuardRate.BOUNCE, totals.bounced, totals.count_for_bounces(are_deliveries_reported=reported), bounce_limit),
        (
            GuardRate.COMPLAINT,
            totals.complained,
            totals.count_for_complaints(are_deliveries_reported=reported),
            complaint_limit,
        ),
    ]
    if scope == THE_RUN:
        return [measure_run(*each) for each in counts]
    times = 1.0 if scope == THE_ACCOUNT else DOMAIN_LIMIT
    setting = "the limit of the account" if scope == THE_ACCOUNT else "the limit of one receiver"
    return [
        GuardMeasure(
            rate=rate,
            scope=scope,
            bad=bad,
            judged=judged,
            limit=min(1.0, limit * times),
            fewest=FEWEST[rate] * BEYOND_THE_RUN,
            setting=setting,
        )
        for rate, bad, judged, limit in counts
    ]
