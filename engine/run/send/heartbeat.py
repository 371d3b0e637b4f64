"""A worker's side tasks: its place in the ledger, its heartbeat, the account's limits, its concurrency."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Connection

from engine.account.quota import refuse_if_stopped
from engine.delivery.pacing.budgets import Budget
from engine.delivery.pacing.concurrency import Concurrency, LagMeter, Slots
from engine.delivery.pacing.gate import Gate
from engine.delivery.pacing.interleaving import DomainCap
from engine.delivery.pacing.rate_share import RateShare
from engine.errors import MailrunError, ServiceError
from engine.ledger import leases, runs, workers
from engine.ledger.recorder import Recorder
from engine.ledger.schema import RunState
from engine.ledger.workers import HeartbeatReply, Liveness
from engine.run.guard.canary import Canary, CanaryState
from engine.run.guard.evidence import EventGuard, GuardEvidence, warn
from engine.run.guard.judge import FailureGuard, GuardRate
from engine.run.send.warmup import WarmupDay
from engine.stopping.stop import StopCause, StopReason

if TYPE_CHECKING:
    from engine.run.send.wiring import Sending

QUOTA_REFRESH_SECONDS = 30.0  # GetAccount is limited to one call a second for the whole account
ADJUST_SECONDS = 0.5
LAG_SECONDS = 0.05  # between two looks at the event loop's lag
PULSE_SECONDS = 5.0
SEEN_SECONDS = workers.HEARTBEAT_SECONDS * 1.5  # by then the others have seen a change with their own heartbeat
OPENED_AGAIN = "recipients are to be sent to again: launch again to resume"
RECORDED_SECONDS = 1.0  # what passed the gate has its intent in the recorder by then

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Watch:
    """Watches over one worker.

    Attributes:
        caps: domain -> its cap; this worker's part is kept in them.
        failures: the guard over what this worker could not send.
        events: the guard over what comes back.
        canary: the run's; None where it has none.
    """

    worker_id: str
    run: str
    sending: "Sending"
    recorder: Recorder
    liveness: Liveness
    limits: RateShare
    caps: Mapping[str, DomainCap]
    concurrency: Concurrency
    lag: LagMeter
    failures: FailureGuard
    events: EventGuard
    canary: Canary | None
    _gate: Gate = field(init=False)
    _quota: Budget = field(init=False)
    _warmup: Budget = field(init=False)
    _warmup_day: WarmupDay | None = None
    _deals_anew: bool = True  # this worker's part of the day's cap is what the ledger says, not what it counts itself
    _whole_caps: Mapping[str, float] = field(init=False)
    _enforcement: str | None = None
    _warned: set[tuple[GuardRate, str]] = field(default_factory=set)

    def bind(self, gate: Gate, quota: Budget, warmup: Budget) -> None:
        """Take over what limits are set on."""
        self._gate, self._quota, self._warmup = gate, quota, warmup
        gate.tell_rest = self.rest
        self._whole_caps = {domain: cap.rate for domain, cap in self.caps.items()}
        quota.left = self.limits.left_24_hours
        warmup.left = None if self.sending.read_warmup is None else 0.0  # so it is read before the first message
        self._watch_enforcement(self.sending.quota.enforcement)

    async def register(self) -> None:
        """Take a place in the ledger; where others send already, let them see it before the first message."""
        now, account = self.sending.clock.now(), self.sending.account

        def begin(tx: Connection) -> None:
            workers.register_worker(tx, self.worker_id, run=self.run, account=account, now=now)
            runs.start_run(tx, self.run, now)

        await self.recorder.transact(begin)
        await self._beat()
        if self.limits.workers > 1:
            self._gate.hold(SEEN_SECONDS)

    async def beat_for_ever(self) -> None:
        """Say that the worker lives, and learn who else does."""
        while True:
            await self.sending.clock.sleep(workers.HEARTBEAT_SECONDS)
            await self._beat()

    async def _beat(self) -> None:
        clock, account = self.sending.clock, self.sending.account
        now, monotonic = clock.now(), clock.monotonic()

        canary = self.canary

        def beat(tx: Connection) -> tuple[HeartbeatReply, GuardEvidence, CanaryState | None]:
            pulse = workers.write_heartbeat(
                tx,
                self.worker_id,
                run=self.run,
                account=account,
                now=now,
                monotonic=monotonic,
                liveness=self.liveness,
                shares=not self.limits.resting,
            )
            state = canary.read(tx, now) if canary is not None else None
            return pulse, self.events.read(tx, now, monotonic), state

        pulse, evidence, state = await self.recorder.transact(beat)
        self._gate.renew_share(monotonic, now.timestamp(), hold_seconds=SEEN_SECONDS)
        self._obey(pulse)
        self._guard(evidence)
        if canary is not None and state is not None:
            await self._look_at_canary(canary, state, now)
        if pulse.workers_on_account != self.limits.workers:
            await self._share(pulse.workers_on_account)

    def _obey(self, pulse: HeartbeatReply) -> None:
        """Wait where a person paused the run, end where it is over or mailrun itself paused it."""
        held = pulse.state is RunState.PAUSED and pulse.paused_by not in (None, runs.GUARD)
        if held != self._gate.held:
            note = f"nothing is sent until: mailrun resume {self.run}" if held else "sending goes on"
            log.warning("run.held" if held else "run.continued", run=self.run, reason=pulse.reason, note=note)
            self._gate.held = held
        if pulse.state is not RunState.SENDING and not held:
            cause = StopCause.PAUSED if pulse.state is RunState.PAUSED else StopCause.OVER
            self.sending.stop.request(StopReason(cause, pulse.reason or f"the run was {pulse.state}"))

    def _guard(self, evidence: GuardEvidence) -> None:
        """Stop where what came back is too bad; warn before."""
        stop = self.sending.stop
        if self.failures.finding is not None:
            warn(self.run, [self.failures.finding], self._warned)
        reason = self.events.judge(evidence)
        if reason is not None and not stop.requested:
            log.error("guard.pause", run=self.run, note=reason.text, do=reason.remedy)
            stop.request(reason)

    async def _look_at_canary(self, canary: Canary, state: CanaryState, now: datetime) -> None:
        """Open the gate, keep it closed, or pause the run with what is doubtful."""
        reason = canary.decide(state, now)
        if self.sending.stop.requested:
            return
        if reason is not None:
            log.warning("canary.pause", run=self.run, note=reason.text, do=reason.remedy)
            self.sending.stop.request(reason)
        elif canary.is_due(state, now):
            await self.recorder.transact(lambda tx: canary.record_passed(tx, now))

    async def _share(self, count: int) -> None:
        """Divide rate, caps and what is left among more or fewer workers."""
        before = self.limits.workers
        self.limits.share(count)
        self._gate.set_ceiling(self.limits.ceiling)
        for domain, rate in self._whole_caps.items():
            self.caps[domain].rate = rate / count
        if self._quota.left is not None:
            self._quota.left *= before / count
        # A worker that left may have used its part: only who is alone may take all that is left of the day.
        self._deals_anew |= count == 1
        if self._warmup.left is not None:
            self._warmup.left *= min(1.0, before / count)
        log.info("worker.shares", workers=count, rate=round(self.limits.ceiling, 2))

    async def rest(self, *, resting: bool) -> None:
        """Leave this worker's part of the rate to the others while it has nothing to send, or claim it again."""
        self.limits.rest(resting=resting)
        if not resting and self._warmup.left is not None:  # others may have taken its part
            self._deals_anew, self._warmup.left = True, 0.0
        await self._beat()
        if not resting and self.limits.workers > 1:
            self._gate.hold(SEEN_SECONDS)

    async def refresh_for_ever(self) -> None:
        """Read the account's limits again and again."""
        while True:
            await self.sending.clock.sleep(QUOTA_REFRESH_SECONDS)
            await self.reread_quota()
            await self.reread_warmup()

    async def reread_quota(self) -> None:
        """Read the account's limits; where that fails the known ones hold, and sends will tell what is wrong."""
        try:
            quota = await self.sending.read_quota()
        except MailrunError as error:
            log.warning("quota.unread", what=error.what)
            return
        try:
            refuse_if_stopped(quota)
        except ServiceError as error:
            self.sending.stop.request(StopReason(StopCause.PAUSED, error.what, error.remedy))
            return
        self._watch_enforcement(quota.enforcement)
        known = self.limits.rate
        self.limits.take_over(
            quota, admitted=self._gate.admitted, left=self._quota.left, now=self.sending.clock.monotonic()
        )
        self._quota.left = self.limits.left_24_hours
        self._gate.set_ceiling(self.limits.ceiling)
        if self.limits.rate != known:
            log.info("rate.changed", rate=round(self.limits.rate, 2), others=round(self.limits.others.rate, 2))

    def _watch_enforcement(self, status: str) -> None:
        """Stop where SES puts the account under review: it does so before it stops the account."""
        before, self._enforcement = self._enforcement, status
        if status != "PROBATION" or before == status:
            return
        text = "SES has put the account under review: its EnforcementStatus is PROBATION"
        remedy = "see the case in the AWS Support Center; to go on all the same: mailrun resume RUN, then launch again"
        if before is None:
            log.warning("account.review", run=self.run, note=text, do="see the case in the AWS Support Center")
            return
        self.sending.stop.request(StopReason(StopCause.GUARDED, text, remedy))

    async def reread_warmup(self) -> None:
        """Read what the warm-up still allows today.

        What this worker counts itself is exact and what the ledger tells lags, so within a day its part never grows
        by reading, unless it is dealt anew: then what passes the gate meanwhile is taken off.
        """
        read = self.sending.read_warmup
        if read is None:
            return
        anew = self._deals_anew
        if anew and self._gate.admitted:
            self._gate.hold(2 * RECORDED_SECONDS)
            await self.sending.clock.sleep(RECORDED_SECONDS)
        passed, known = self._gate.admitted, self._warmup_day
        await self.recorder.flush()
        day = self._warmup_day = await asyncio.to_thread(read)
        if not anew and known is not None and known.number != day.number:
            self._deals_anew = True
            await self.reread_warmup()
            return
        own, left = self._warmup.left, day.left
        if left is not None:
            left /= self.limits.workers
            since = max(0, self._gate.admitted - passed)
            left = left - since if anew or own is None else min(own, left)
        self._warmup.left = left
        self._deals_anew &= not anew  # what asked for it meanwhile is still to be done

    def describe_warmup(self) -> StopReason:
        """Say why the warm-up ends this run for today."""
        day = self._warmup_day
        if day is not None and day.left is not None and day.left >= self.limits.workers:
            text = (
                f"a worker has used its part of day {day.number} of the warm-up: {day.left:,} of {day.cap:,} are left"
            )
            return StopReason(StopCause.PAUSED, text, "launch again for what is left of it")
        text = "" if day is None else f"day {day.number} of the warm-up has its {day.cap:,} recipients"
        return StopReason(StopCause.PAUSED, text, "launch again tomorrow for the rest")

    async def adjust_for_ever(self, slots: Slots) -> None:
        """Measure the event loop's lag and keep the concurrency at what the rate needs."""
        loop, clock = asyncio.get_running_loop(), self.sending.clock
        adjusted = pulsed = clock.monotonic()
        while True:
            due = loop.time() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self.lag.add(loop.time() - due)
            now = clock.monotonic()
            if now - adjusted >= ADJUST_SECONDS:
                adjusted = now
                items = self._gate.most_at_once(self.sending.transport.most_items, 0.5)
                self.concurrency.adjust(
                    calls_per_second=self._gate.pacer.limit / items, lag_seconds=self.lag.recent_seconds
                )
            if now - pulsed >= PULSE_SECONDS:
                pulsed = now
                await self._tell(slots)

    async def _tell(self, slots: Slots) -> None:
        """Leave word in the ledger of how this worker does: `mailrun status` shows it."""
        vitals = {
            "rate_limit": round(self._gate.pacer.limit, 2),
            "in_flight": slots.used,
            "concurrency": self.concurrency.target,
            "latency_ms": round(self.concurrency.latency_seconds * 1000, 1),
            "lag_p99_ms": round(self.lag.p99_seconds * 1000, 1),
            "throttles": self._gate.pacer.throttles,
            "done": self.failures.done,
            "lost": self.failures.lost,
            "refused": self.failures.refused,
        }
        log.debug("worker.vitals", **vitals)

        def tell(tx: Connection) -> int:
            workers.write_vitals(tx, worker=self.worker_id, vitals=vitals)
            return leases.count_free(tx, self.run)

        free = await self.recorder.transact(tell)
        work_left = free > 0 and (self.canary is None or self.canary.is_open)
        self.sending.processes.look(admitted=self._gate.admitted, rate=self._gate.pacer.limit, work_left=work_left)

    async def leave(self) -> None:
        """Finish the run if nothing is left, or pause it with the reason; then leave the ledger."""
        clock, reason = self.sending.clock, self.sending.stop.reason
        now, monotonic = clock.now(), clock.monotonic()

        def end(tx: Connection) -> None:
            if not runs.finish_run(tx, self.run, now):
                if reason is None:  # nothing was left a moment ago: somebody has just opened a lease again
                    live = self.liveness.list_live(tx, monotonic)
                    runs.pause_run_if_abandoned(tx, self.run, worker=self.worker_id, live=live, reason=OPENED_AGAIN)
                elif reason.cause in (StopCause.PAUSED, StopCause.GUARDED):
                    who = runs.GUARD if reason.cause is StopCause.GUARDED else None
                    runs.pause_run(tx, self.run, reason.to_sentences(), paused_by=who)
                elif reason.cause is not StopCause.OVER:
                    live = self.liveness.list_live(tx, monotonic)
                    runs.pause_run_if_abandoned(tx, self.run, worker=self.worker_id, live=live, reason=reason.text)
            workers.unregister_worker(tx, self.worker_id)

        await self.recorder.transact(end)
