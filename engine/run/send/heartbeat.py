"""A worker's row in the ledger: each heartbeat shows that the worker is alive, and reads the run's state."""

from msgspec import Struct
from sqlalchemy import Connection

from engine.clock import Clock
from engine.delivery.pacing.admission import Admission
from engine.delivery.pacing.pace_sampler import PaceSampler
from engine.ledger import runs, workers
from engine.ledger.figures.pace import add_sample
from engine.ledger.recorder import Recorder
from engine.ledger.schema import RunState
from engine.ledger.workers import HeartbeatReply, Liveness
from engine.logs import get_logger
from engine.run.guard.safeguards import SafeguardReading, Safeguards
from engine.run.send.rates import Rates
from engine.run.send.regions.region import RegionPart
from engine.stopping.stop import Stop, StopCause, StopReason

SEEN_SECONDS = (
    workers.HEARTBEAT_SECONDS * 1.5
)  # by then, the other workers have read a change with their own heartbeats
REOPENED = "some recipients must be sent to again: launch again to resume"

log = get_logger()


class WorkerIdentity(Struct, frozen=True):
    """The identity of a worker.

    Attributes:
        id: random.
        run: the name of the run that it sends for.
        account: names the account whose rate is shared: the endpoint.
        region: its part in a run that is sent through several regions; None for any other.
    """

    id: str
    run: str
    account: str
    region: RegionPart | None = None


class Heartbeat(Struct, frozen=True, kw_only=True):
    """Registers one worker, keeps its row fresh, and removes it.

    The worker also lends its part of the rate through its row (`engine.delivery.pacing.gate.Sharing`): the others read
    the row with their next heartbeats.

    Attributes:
        worker: which one.
        recorder: reads and writes the ledger.
        liveness: this process's observations of the other workers.
        rates: this worker's part of the account's limits.
        safeguards: are applied with every heartbeat.
        admission: is paused, held and renewed.
        pace: takes the samples of the run's time line, which are written with heartbeats.
        clock: both of its times.
        stop: is requested where the run is over, or mailrun itself paused it.
    """

    worker: WorkerIdentity
    recorder: Recorder
    liveness: Liveness
    rates: Rates
    safeguards: Safeguards
    admission: Admission
    pace: PaceSampler
    clock: Clock
    stop: Stop

    async def register(self) -> None:
        """Add the worker's row; where others send already, let them see it before the first message."""
        now, worker = self.clock.now(), self.worker

        def begin(tx: Connection) -> None:
            workers.register_worker(tx, worker.id, run=worker.run, account=worker.account, now=now)
            runs.start_run(tx, worker.run, now)

        await self.recorder.transact(begin)
        await self._beat()
        self._hold_if_shared()

    async def keep_alive(self) -> None:
        """Write a heartbeat every HEARTBEAT_SECONDS, until cancelled."""
        while True:
            await self.clock.sleep(workers.HEARTBEAT_SECONDS)
            await self._beat()

    async def release_share(self) -> None:
        """Lend this worker's part of the rate to the others while it has nothing to send."""
        self.rates.release()
        await self._beat()

    async def claim_share(self) -> None:
        """Take this worker's part back; the others see it before the next message."""
        self.rates.claim()
        await self._beat()
        self._hold_if_shared()

    def _hold_if_shared(self) -> None:
        if self.rates.rate_share.campaign_workers > 1:
            self.admission.hold(SEEN_SECONDS)

    async def _beat(self) -> None:
        now, monotonic, worker = self.clock.now(), self.clock.monotonic(), self.worker
        sample = self.pace.take(now, monotonic)

        def beat(tx: Connection) -> tuple[HeartbeatReply, SafeguardReading]:
            reply = workers.write_heartbeat(
                tx,
                worker.id,
                run=worker.run,
                account=worker.account,
                now=now,
                monotonic=monotonic,
                liveness=self.liveness,
                shares=not self.rates.rate_share.is_released,
                accounts=() if worker.region is None else worker.region.accounts,
            )
            if sample is not None:
                self.pace.step_seconds = add_sample(tx, worker.run, sample)
            return reply, self.safeguards.read(tx, now, monotonic)

        reply, reading = await self.recorder.transact(beat)
        self.admission.renew_share(monotonic, now.timestamp(), hold_seconds=SEEN_SECONDS)
        self._follow(reply)
        await self.safeguards.apply(reading, now)
        known = self.rates.rate_share.workers, self.rates.rate_share.campaign_workers
        if (reply.workers_on_account, reply.workers_of_campaign) != known:
            self.rates.divide(reply.workers_on_account, reply.workers_of_campaign)

    def _follow(self, reply: HeartbeatReply) -> None:
        """Wait where a person paused the run; stop where it is over, or mailrun itself paused it."""
        is_paused = reply.state is RunState.PAUSED and reply.paused_by not in (None, runs.GUARD)
        if is_paused != self.admission.is_paused:
            event = "run.paused" if is_paused else "run.resumed"
            note = f"nothing is sent until: mailrun resume {self.worker.run}" if is_paused else "sending resumes"
            log.warning(event, run=self.worker.run, reason=reply.reason, note=note)
            self.admission.is_paused = is_paused
        if reply.state is not RunState.SENDING and not is_paused:
            cause = StopCause.PAUSED if reply.state is RunState.PAUSED else StopCause.OVER
            self.stop.request(StopReason(cause, reply.reason or f"the run was {reply.state}"))

    async def leave(self) -> None:
        """Finish the run if nothing is left, or pause it with the reason; then remove the worker's row."""
        now, monotonic = self.clock.now(), self.clock.monotonic()
        sample = self.pace.take(now, monotonic, is_last=True)

        def end(tx: Connection) -> None:
            if sample is not None:
                add_sample(tx, self.worker.run, sample)
            if not runs.finish_run(tx, self.worker.run, now):
                self._pause(tx, monotonic)
            workers.unregister_worker(tx, self.worker.id)

        await self.recorder.transact(end)

    def _pause(self, tx: Connection, monotonic: float) -> None:
        run, reason, region = self.worker.run, self.stop.reason, self.worker.region
        if region is not None and reason is not None and reason.cause is StopCause.PAUSED:  # the others continue
            live = self.liveness.list_live(tx, monotonic)
            runs.pause_run_if_abandoned(tx, run, worker=self.worker.id, live=live, reason=region.explain_pause())
        elif reason is not None and reason.cause in (StopCause.PAUSED, StopCause.GUARDED):
            who = runs.GUARD if reason.cause is StopCause.GUARDED else None
            runs.pause_run(tx, run, reason.to_sentences(), paused_by=who)
        elif reason is None or reason.cause is not StopCause.OVER:
            # Without a reason, every lease was settled a moment ago: one was opened again just now.
            text = REOPENED if reason is None else reason.text
            live = self.liveness.list_live(tx, monotonic)
            runs.pause_run_if_abandoned(tx, run, worker=self.worker.id, live=live, reason=text)
