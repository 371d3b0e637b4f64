"""The safeguards of a run: the guard over messages that were not sent, the guard over events, the canary."""

from datetime import datetime

from msgspec import Struct, field
from sqlalchemy import Connection

from engine.ledger.recorder import Recorder
from engine.logs import get_logger
from engine.run.guard.canary import Canary, CanaryState
from engine.run.guard.evidence import EventGuard, GuardEvidence, warn
from engine.run.guard.judge import FailureGuard, GuardRate
from engine.stopping.stop import Stop

log = get_logger()


class SafeguardReading(Struct, frozen=True):
    """The counts read with one heartbeat; `canary` is None where its gate is open or there is none."""

    evidence: GuardEvidence
    canary: CanaryState | None


class Safeguards(Struct, kw_only=True):
    """The safeguards of one run, as one worker applies them.

    Attributes:
        run: its name.
        failures: the guard over what this worker could not send.
        events: the guard over events.
        canary: the run's; None where it has none.
        recorder: writes to the ledger.
        stop: is requested where the run must pause.
    """

    run: str
    failures: FailureGuard
    events: EventGuard
    canary: Canary | None
    recorder: Recorder
    stop: Stop
    _warned: set[tuple[GuardRate, str]] = field(default_factory=set)

    @property
    def has_warned(self) -> bool:
        """Return whether this worker has warned of a rate."""
        return bool(self._warned)

    def read(self, tx: Connection, now: datetime, monotonic: float) -> SafeguardReading:
        """Read the counts of events and the state of the canary."""
        canary = self.canary.read(tx, now) if self.canary is not None else None
        return SafeguardReading(self.events.read(tx, now, monotonic), canary)

    async def apply(self, reading: SafeguardReading, now: datetime) -> None:
        """Warn, pause the run, or let the rest follow the canary."""
        self._judge(reading.evidence)
        if self.canary is not None and reading.canary is not None:
            await self._decide(self.canary, reading.canary, now)

    def _judge(self, evidence: GuardEvidence) -> None:
        """Stop where bounces or complaints are above a limit; warn before."""
        if self.failures.finding is not None:
            warn(self.run, [self.failures.finding], self._warned)
        reason = self.events.judge(evidence)
        if reason is not None and not self.stop.requested:
            log.error("guard.pause", run=self.run, note=reason.text, do=reason.remedy)
            self.stop.request(reason)

    async def _decide(self, canary: Canary, state: CanaryState, now: datetime) -> None:
        """Open the gate, keep it closed, or pause the run with the reasons."""
        reason = canary.decide(state, now)
        if self.stop.requested:
            return
        if reason is not None:
            log.warning("canary.pause", run=self.run, note=reason.text, do=reason.remedy)
            self.stop.request(reason)
        elif canary.is_due(state, now):
            await self.recorder.transact(lambda tx: canary.record_passed(tx, now))
