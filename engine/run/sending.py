"""Sending for a frozen run: the worker with everything it works with, and the tasks that watch over it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection

from engine.account.quota import Quota, read_quota, refuse_if_stopped
from engine.campaign.render import Renderer
from engine.campaign.spec import CampaignSpec
from engine.clock import Clock
from engine.delivery.dispatch import Dispatcher
from engine.delivery.gate import Gate
from engine.delivery.guard import FailureGuard
from engine.delivery.pacer import Pacer
from engine.delivery.retry import draw_jitter
from engine.delivery.stop import Stop, StopCause, StopReason
from engine.delivery.transport import Transport
from engine.errors import MailrunError, ServiceError
from engine.ledger import runs, workers
from engine.ledger.database import Ledger
from engine.ledger.journal import Result
from engine.ledger.recorder import PATIENCE_SECONDS, Recorder
from engine.ledger.schema import RunState
from engine.ledger.workers import Liveness, Pulse
from engine.run.marks import Marks
from engine.run.planning import FrozenRun
from engine.run.worker import Tools, Worker

QUOTA_REFRESH_SECONDS = 30.0  # GetAccount is limited to one call a second for the whole account
LAST_PATIENCE_SECONDS = 15.0  # for a ledger that is away while the worker is to stop: within a pod's grace period

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What sending for a run needs from outside.

    Attributes:
        client: the SES client for questions about the account.
        account: names the account whose rate is shared: the client's endpoint.
        quota: as read before the start.
        count: told every final result.
    """

    ledger: Ledger
    client: Any
    account: str
    quota: Quota
    transport: Transport
    renderer: Renderer
    stop: Stop
    clock: Clock
    count: Callable[[Result], None]


async def send_run(frozen: FrozenRun, spec: CampaignSpec, sending: Sending) -> None:
    """Send for a run until it is finished or must stop; leaves its state in the ledger.

    Raises:
        MailrunError: ledger or store failed; what was in flight is in doubt or unsent, as the ledger says.
    """
    worker_id = uuid.uuid4().hex
    stop, clock, name = sending.stop, sending.clock, frozen.run.name
    marks, liveness = Marks(frozen.store, frozen.run.folder), Liveness()
    recorder = Recorder(
        sending.ledger,
        clock,
        patience=lambda: LAST_PATIENCE_SECONDS if stop.requested else PATIENCE_SECONDS,
        durable=marks.advance,
    )
    limits = _Limits(sending.quota, spec)
    gate = Gate(Pacer(limits.ceiling, clock.monotonic()), clock, stop, left_24_hours=sending.quota.left_24_hours)
    dispatcher = Dispatcher(
        transport=sending.transport,
        gate=gate,
        recorder=recorder,
        stop=stop,
        clock=clock,
        jitter=draw_jitter,
        resend_in_doubt=spec.delivery.in_doubt == "resend",
    )
    tools = Tools(
        recorder=recorder,
        liveness=liveness,
        marks=marks,
        renderer=sending.renderer,
        dispatcher=dispatcher,
        guard=FailureGuard(spec.guard.max_failure_rate),
        stop=stop,
        clock=clock,
        count=sending.count,
    )
    watch = _Watch(worker_id, name, sending, recorder, gate, limits, liveness)
    try:
        await watch.register()
        async with _watched([watch.beat_for_ever(), watch.refresh_for_ever()], stop):
            await Worker(worker_id, frozen, tools).work()
        await watch.leave()
    finally:
        await recorder.close()
    if stop.reason is not None and stop.reason.cause is StopCause.ERROR and stop.reason.error is not None:
        raise stop.reason.error


@dataclass(slots=True)
class _Limits:
    """The rate of one worker: the account's, by share, bounded by the campaign's, divided by who else sends."""

    quota: Quota
    spec: CampaignSpec
    workers: int = 1

    @property
    def ceiling(self) -> float:
        delivery = self.spec.delivery
        shared = self.quota.max_send_rate * delivery.rate_share
        return min(shared, delivery.max_rate or shared) / self.workers


@dataclass(frozen=True, slots=True)
class _Watch:
    """The worker's side tasks: its place in the ledger, its heartbeat, the account's limits."""

    worker_id: str
    run: str
    sending: Sending
    recorder: Recorder
    gate: Gate
    limits: _Limits
    liveness: Liveness

    async def register(self) -> None:
        now, account = self.sending.clock.now(), self.sending.account

        def begin(tx: Connection) -> None:
            workers.register_worker(tx, self.worker_id, run=self.run, account=account, now=now)
            runs.start_run(tx, self.run, now)

        await self.recorder.transact(begin)
        await self._beat()

    async def beat_for_ever(self) -> None:
        while True:
            await self.sending.clock.sleep(workers.HEARTBEAT_SECONDS)
            await self._beat()

    async def _beat(self) -> None:
        clock, account = self.sending.clock, self.sending.account
        now, monotonic = clock.now(), clock.monotonic()
        pulse = await self.recorder.transact(
            lambda tx: workers.beat(
                tx,
                self.worker_id,
                run=self.run,
                account=account,
                now=now,
                monotonic=monotonic,
                liveness=self.liveness,
            )
        )
        self._obey(pulse)
        if pulse.workers_on_account != self.limits.workers:
            self.limits.workers = pulse.workers_on_account
            self.gate.set_limits(ceiling=self.limits.ceiling)

    def _obey(self, pulse: Pulse) -> None:
        """Wait where a person paused the run, end where it is over or mailrun itself paused it."""
        held = pulse.state is RunState.PAUSED and pulse.paused_by is not None
        if held != self.gate.held:
            note = f"nothing is sent until: mailrun resume {self.run}" if held else "sending goes on"
            log.warning("run.held" if held else "run.continued", run=self.run, reason=pulse.reason, note=note)
            self.gate.held = held
        if pulse.state is not RunState.SENDING and not held:
            cause = StopCause.PAUSED if pulse.state is RunState.PAUSED else StopCause.OVER
            self.sending.stop.request(StopReason(cause, pulse.reason or f"the run was {pulse.state}"))

    async def refresh_for_ever(self) -> None:
        while True:
            await self.sending.clock.sleep(QUOTA_REFRESH_SECONDS)
            try:
                quota = await read_quota(self.sending.client)
            except MailrunError as error:
                log.warning("quota.unread", what=error.what)  # the known limits hold; sends will tell what is wrong
                continue
            try:
                refuse_if_stopped(quota)
            except ServiceError as error:
                self.sending.stop.request(StopReason(StopCause.PAUSED, error.what, error.remedy))
                return
            self.limits.quota = quota
            self.gate.set_limits(ceiling=self.limits.ceiling, left_24_hours=self.limits.quota.left_24_hours)

    async def leave(self) -> None:
        """Finish the run if nothing is left, or pause it with the reason; then leave the ledger."""
        clock, reason = self.sending.clock, self.sending.stop.reason
        now, monotonic = clock.now(), clock.monotonic()

        def end(tx: Connection) -> None:
            if not runs.finish_run(tx, self.run, now) and reason is not None:
                if reason.cause is StopCause.PAUSED:
                    runs.pause_run(tx, self.run, f"{reason.text}; {reason.remedy}")
                elif reason.cause is not StopCause.OVER:
                    live = self.liveness.list_live(tx, monotonic)
                    runs.pause_run_left_alone(tx, self.run, worker=self.worker_id, live=live, reason=reason.text)
            workers.unregister_worker(tx, self.worker_id)

        await self.recorder.transact(end)


@asynccontextmanager
async def _watched(side_tasks: Sequence[Any], stop: Stop) -> AsyncIterator[None]:
    """Run side tasks beside a block; one that dies stops the worker with its error."""
    tasks = [asyncio.create_task(task) for task in side_tasks]

    def report(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            stop.request(StopReason(StopCause.ERROR, str(error), error=error))

    for task in tasks:
        task.add_done_callback(report)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
