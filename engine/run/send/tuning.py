"""A worker's tuning: it measures the event loop, sets the concurrency, writes its vitals and adds processes."""

import asyncio
from typing import Any

from msgspec import Struct, field
from sqlalchemy import Connection

from engine.clock import Clock
from engine.delivery.pacing.concurrency import Concurrency, LagMeter, Slots
from engine.delivery.pacing.gate import Gate
from engine.delivery.transport import Transport
from engine.ledger import leases, workers
from engine.ledger.recorder import Recorder
from engine.logs import get_logger
from engine.metrics.meter import Meter
from engine.run.guard.safeguards import Safeguards
from engine.run.send.heartbeat import WorkerIdentity
from engine.run.send.processes import WorkerProcesses
from engine.run.send.rates import Rates
from engine.run.send.regions.region import RegionProcesses

ADJUST_SECONDS = 0.5
LAG_SECONDS = 0.05  # between two measurements of the event loop's lag
VITALS_SECONDS = 5.0
CALL_SECONDS = 0.5  # of the rate: what one bulk call carries at most

log = get_logger()


class Tuning(Struct, frozen=True, kw_only=True):
    """Adjusts one worker to its rate.

    Attributes:
        worker: which one.
        transport: has the maximum number of messages in a call.
        gate: has the rate.
        concurrency: is adjusted.
        rates: has the account's quota.
        meter: receives the figures for monitoring.
        slots: calls in flight.
        safeguards: count what was sent and lost.
        recorder: writes to the ledger.
        processes: may start another one.
        clock: monotonic time.
        lag: of the event loop.
    """

    worker: WorkerIdentity
    transport: Transport
    gate: Gate
    concurrency: Concurrency
    rates: Rates
    meter: Meter
    slots: Slots
    safeguards: Safeguards
    recorder: Recorder
    processes: WorkerProcesses | RegionProcesses
    clock: Clock
    lag: LagMeter = field(default_factory=LagMeter)

    async def adjust(self) -> None:
        """Measure the lag, adjust the concurrency and write the vitals, until cancelled."""
        self._note_pulse()
        try:
            await self._adjust_until_cancelled()
        finally:
            self._note_pulse()
            self.meter.begin(self.worker.id).end()

    async def _adjust_until_cancelled(self) -> None:
        loop, clock = asyncio.get_running_loop(), self.clock
        begun_at = adjusted = written = clock.monotonic()
        while True:
            due = loop.time() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self.lag.add(loop.time() - due)
            now = clock.monotonic()
            if now - adjusted >= ADJUST_SECONDS:
                adjusted = now
                self._adjust_concurrency()
                self._note_pulse()
            if now - written >= VITALS_SECONDS:
                written = now
                await self._write_vitals(begun_at)

    def _adjust_concurrency(self) -> None:
        items = self.gate.most_at_once(self.transport.most_items, CALL_SECONDS)
        calls_per_second = self.gate.pacer.limit / items
        self.concurrency.adjust(calls_per_second=calls_per_second, lag_seconds=self.lag.recent_seconds)

    def _note_pulse(self) -> None:
        """Note this worker's figures for monitoring."""
        region, quota = self.worker.region, self.rates.rate_share.quota
        pulse = self.meter.begin(self.worker.id, "" if region is None else region.name)
        pulse.rate_limit, pulse.in_flight = round(self.gate.pacer.limit, 2), self.slots.used
        pulse.throttles = self.gate.pacer.throttles
        pulse.quota_left, pulse.quota_limit = quota.left_24_hours, quota.max_24_hours
        pulse.is_warned = self.safeguards.has_warned
        self.meter.changed()

    async def _write_vitals(self, begun_at: float) -> None:
        """Write this worker's figures to the ledger for `mailrun status`; start another process where one helps."""
        vitals = self._measure(begun_at)
        log.debug("worker.vitals", **vitals)

        def write(tx: Connection) -> int:
            workers.write_vitals(tx, worker=self.worker.id, vitals=vitals)
            return leases.count_free(tx, self.worker.run)

        free, canary = await self.recorder.transact(write), self.safeguards.canary
        work_left = free > 0 and (canary is None or canary.is_open)
        self.processes.add_if_needed(admitted=self.gate.admitted, rate=self.gate.pacer.limit, work_left=work_left)

    def _find_wait(self) -> str | None:
        """Return what this worker waits for before it sends more; None where it should be sending."""
        canary = self.safeguards.canary
        if canary is not None and not canary.is_open:
            return "the canary"
        return self.gate.find_wait()

    def _measure(self, begun_at: float) -> dict[str, Any]:
        failures, region = self.safeguards.failures, self.worker.region
        measured: dict[str, Any] = {
            "rate_limit": round(self.gate.pacer.limit, 2),
            "in_flight": self.slots.used,
            "concurrency": self.concurrency.target,
            "latency_ms": round(self.concurrency.latency_seconds * 1000, 1),
            "lag_p99_ms": round(self.lag.p99_seconds * 1000, 1),
            "throttles": self.gate.pacer.throttles,
            "done": failures.done,
            "lost": failures.lost,
            "refused": failures.refused,
            "waits_for": self._find_wait(),
            "seconds": round(self.clock.monotonic() - begun_at, 1),
        }
        if region is not None:
            measured |= {"region": region.name, "regions_away": region.list_away()}
        return measured
