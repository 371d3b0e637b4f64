"""The guard over events: every worker and `status` read the same counts from the ledger and judge in the same way."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct, field
from sqlalchemy import Connection

from engine.campaign.spec_sections import GuardSpec
from engine.ledger import event_counts
from engine.ledger.event_counts import Counts
from engine.ledger.runs import Run
from engine.logs import get_logger
from engine.run.guard.judge import (
    ACCOUNT_BOUNCE_RATE,
    ACCOUNT_COMPLAINT_RATE,
    THE_ACCOUNT,
    TOTAL_NAMES,
    EventTotals,
    GuardFinding,
    GuardLevel,
    GuardMeasure,
    GuardRate,
    judge,
    measure_events,
    measure_run,
)
from engine.stopping.stop import StopCause, StopReason

RECENT = timedelta(days=7)  # period of the account's runs: SES uses a "representative volume", without a period
ACCOUNT_SECONDS = 10.0  # between two reads of all recent runs; this run is read with every heartbeat

log = get_logger()


class GuardEvidence(Struct, frozen=True, kw_only=True):
    """The counts of events since a person last resumed or approved the run.

    Attributes:
        run: of the run.
        receivers: domain -> of its recipients, for the large ones.
        account: of all recent runs; None for a run that goes to the embedded sandbox.
        are_deliveries_reported: at least one event reports a delivery.
    """

    run: EventTotals
    receivers: Mapping[str, EventTotals]
    account: EventTotals | None
    are_deliveries_reported: bool


class AccountEvidence(Struct, frozen=True):
    """All recent runs together."""

    totals: EventTotals | None
    are_deliveries_reported: bool


def read_account(tx: Connection, run: str, now: datetime, *, sandbox: bool) -> AccountEvidence:
    """Read the counts of events of all recent runs."""
    since = now - RECENT
    counts = event_counts.sum_run(tx, run) if sandbox else event_counts.sum_recent(tx, since)
    seen = event_counts.read_acknowledged(tx, run, since).runs
    reported = any(count["delivered"] for count in counts.values())
    if sandbox:
        return AccountEvidence(None, reported)
    return AccountEvidence(
        _add_up(_to_totals(c).without(_to_totals(seen.get(name, {}))) for name, c in counts.items()), reported
    )


def read_evidence(
    tx: Connection, run: str, now: datetime, account: AccountEvidence, *, not_yet: int = 0
) -> GuardEvidence:
    """Read the counts of events of a run.

    Args:
        tx: any transaction.
        run: its name.
        now: the time.
        account: as it was read last.
        not_yet: recipients of open leases that were certainly not handed over yet.
    """
    receivers = event_counts.read_receivers(tx, run)
    seen = event_counts.read_acknowledged(tx, run, now - RECENT)
    reported = account.are_deliveries_reported or any(count["delivered"] for count in receivers.values())
    sent = 0 if reported else max(0, event_counts.count_handed_over(tx, run) - not_yet)
    whole = _add_up([EventTotals(sent=sent), *map(_to_totals, receivers.values())])
    large = {domain: _to_totals(c) for domain, c in receivers.items() if domain}
    return GuardEvidence(
        run=whole.without(_to_totals(seen.runs.get(run, {}))),
        receivers={domain: h.without(_to_totals(seen.receivers.get(domain, {}))) for domain, h in large.items()},
        account=account.totals,
        are_deliveries_reported=reported,
    )


def _to_totals(counts: Counts) -> EventTotals:
    return EventTotals(**{name: counts.get(name, 0) for name in TOTAL_NAMES})


def _add_up(parts: Iterable[EventTotals]) -> EventTotals:
    all_parts = list(parts)
    return EventTotals(**{name: sum(getattr(part, name) for part in all_parts) for name in TOTAL_NAMES})


def list_measures(found: GuardEvidence, spec: GuardSpec) -> list[GuardMeasure]:
    """Compare evidence with a campaign's limits, and with the account's own."""
    is_reported = found.are_deliveries_reported
    bounce, complaint = spec.max_bounce_rate, spec.max_complaint_rate

    def measure(totals: EventTotals, scope: str, *limits: float) -> list[GuardMeasure]:
        return measure_events(
            totals, bounce_limit=limits[0], complaint_limit=limits[1], are_deliveries_reported=is_reported, scope=scope
        )

    measures = measure_events(
        found.run, bounce_limit=bounce, complaint_limit=complaint, are_deliveries_reported=is_reported
    )
    if is_reported and found.account is not None:
        measures += measure(found.account, THE_ACCOUNT, ACCOUNT_BOUNCE_RATE, ACCOUNT_COMPLAINT_RATE)
    for domain, totals in found.receivers.items() if is_reported else ():
        measures += measure(totals, domain, bounce, complaint)
    return measures


def judge_now(
    tx: Connection, run: Run, spec: GuardSpec, now: datetime, vitals: Sequence[Mapping[str, float]]
) -> list[GuardFinding]:
    """Judge a run as its workers do, for `status`.

    Args:
        tx: any transaction.
        run: from the ledger.
        spec: its limits.
        now: the time.
        vitals: of its live workers; what they could not send is what they recorded last.
    """
    account = read_account(tx, run.name, now, sandbox=run.sandbox)
    measures = list_measures(read_evidence(tx, run.name, now, account), spec)
    done, lost, refused = (int(sum(each.get(name, 0) for each in vitals)) for name in ("done", "lost", "refused"))
    measures.append(measure_run(GuardRate.FAILURE, lost, done, spec.max_failure_rate))
    if spec.max_refusal_rate is not None:
        measures.append(measure_run(GuardRate.REFUSAL, refused, done, spec.max_refusal_rate))
    return judge(measures)


def read_totals(tx: Connection, run: str) -> EventTotals:
    """Read all counts of events of a run, acknowledged or not."""
    return _add_up(map(_to_totals, event_counts.read_receivers(tx, run).values()))


class EventGuard(Struct, kw_only=True):
    """Judges one run with every heartbeat of one worker.

    Attributes:
        run: its name.
        sandbox: it goes to the embedded sandbox.
        spec: its limits.
        not_yet: counts the recipients of this worker's open leases that were certainly not handed over yet.
    """

    run: str
    sandbox: bool
    spec: GuardSpec
    not_yet: Callable[[], int]
    _account: AccountEvidence | None = None
    _account_at: float = float("-inf")
    _warned: set[tuple[GuardRate, str]] = field(default_factory=set)

    def read(self, tx: Connection, now: datetime, monotonic: float) -> GuardEvidence:
        """Read the counts."""
        if self._account is None or monotonic - self._account_at >= ACCOUNT_SECONDS:
            self._account, self._account_at = read_account(tx, self.run, now, sandbox=self.sandbox), monotonic
        return read_evidence(tx, self.run, now, self._account, not_yet=self.not_yet())

    def judge(self, found: GuardEvidence) -> StopReason | None:
        """Judge the counts; log a warning once for each rate; return the reason to stop, or None."""
        findings = judge(list_measures(found, self.spec))
        warn(self.run, findings, self._warned)
        worst = findings[0] if findings else None
        return make_stop(worst) if worst is not None and worst.level is GuardLevel.PAUSE else None


def warn(run: str, findings: Iterable[GuardFinding], warned: set[tuple[GuardRate, str]]) -> None:
    """Log what is too high or on its way there, each rate of each scope once."""
    for finding in findings:
        name = (finding.measure.rate, finding.measure.scope)
        if name not in warned:
            warned.add(name)
            log.warning("guard.warning", run=run, note=finding.describe(), do=finding.remedy)


def make_stop(finding: GuardFinding, text: str | None = None) -> StopReason:
    """Make the reason to stop from a finding that pauses the run."""
    return StopReason(StopCause.GUARDED, text or finding.describe(), finding.remedy)
