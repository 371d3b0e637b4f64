"""Sending for a frozen run: the worker with everything it works with, and the tasks that watch over it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import structlog

from engine.account.quota import AccountQuota
from engine.campaign.render import Renderer
from engine.campaign.spec import CampaignSpec
from engine.clock import Clock
from engine.delivery.dispatch import Dispatcher
from engine.delivery.pacing.budgets import Budget, Hours
from engine.delivery.pacing.concurrency import Concurrency, LagMeter, Slots, find_most
from engine.delivery.pacing.gate import Gate
from engine.delivery.pacing.interleaving import DomainCap
from engine.delivery.pacing.pacer import Pacer
from engine.delivery.pacing.rate_share import RateShare
from engine.delivery.pacing.window import find_deadline, parse_window
from engine.delivery.retry import draw_jitter
from engine.delivery.transport import Transport
from engine.ledger.database import Ledger
from engine.ledger.journal import Result
from engine.ledger.recorder import PATIENCE_SECONDS, Recorder
from engine.ledger.workers import Liveness
from engine.run.facts import find_topic
from engine.run.frozen import FrozenRun
from engine.run.guard.canary import make_canary
from engine.run.guard.evidence import EventGuard
from engine.run.guard.judge import FailureGuard
from engine.run.outcomes import finish_changes
from engine.run.send.heartbeat import Watch
from engine.run.send.marks import Marks
from engine.run.send.processes import WorkerProcesses
from engine.run.send.recheck import Watchlist
from engine.run.send.warmup import WarmupDay
from engine.run.send.worker import Tools, Worker
from engine.stopping.stop import Stop, StopCause, StopReason
from engine.store.keys import read_forget_key

LAST_PATIENCE_SECONDS = 15.0  # for a ledger that is away while the worker is to stop: within a pod's grace period

log = structlog.get_logger()

QUOTA_USED_UP = StopReason(
    StopCause.PAUSED, "the account's 24-hour quota is used up", "launch again when part of the 24-hour quota is free"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What sending for a run needs from outside.

    Attributes:
        account: names the account whose rate is shared: the endpoint.
        quota: as read before the start.
        read_quota: reads it again.
        read_warmup: reads what the warm-up allows today; None where the campaign has none.
        count: told every final result.
        processes: further processes that send for the run.
        worker_id: the worker's random identity.
    """

    ledger: Ledger
    account: str
    quota: AccountQuota
    read_quota: Callable[[], Awaitable[AccountQuota]]
    read_warmup: Callable[[], WarmupDay] | None
    transport: Transport
    renderer: Renderer
    stop: Stop
    clock: Clock
    count: Callable[[Result], None]
    processes: WorkerProcesses
    worker_id: str = field(default_factory=lambda: uuid.uuid4().hex)


async def send_run(frozen: FrozenRun, spec: CampaignSpec, sending: Sending) -> None:
    """Send for a run until it is finished or must stop; leaves its state in the ledger.

    Raises:
        MailrunError: ledger or store failed; what was in flight is in doubt or unsent, as the ledger says.
    """
    worker_id = sending.worker_id
    stop, clock = sending.stop, sending.clock
    marks, liveness = Marks(frozen.store, frozen.run.folder), Liveness()
    recorder = Recorder(
        sending.ledger,
        clock,
        patience=lambda: LAST_PATIENCE_SECONDS if stop.requested else PATIENCE_SECONDS,
        durable=marks.advance,
    )
    limits = RateShare(sending.quota, spec, clock.monotonic())
    caps = {domain: DomainCap(cap.max_rate) for domain, cap in spec.domains.items()}
    pacer = Pacer(limits.ceiling, clock.monotonic(), jitter=draw_jitter())
    lag, concurrency = LagMeter(), Concurrency(min(find_most(), sending.transport.most_calls))
    failures = FailureGuard(spec.guard.max_failure_rate, spec.guard.max_refusal_rate)
    events = EventGuard(run=frozen.run.name, sandbox=frozen.run.sandbox, spec=spec.guard)
    canary = make_canary(frozen.run.name, spec.canary, spec.guard, frozen.manifest.leases, accepted=frozen.run.accepted)
    watch = Watch(
        worker_id=worker_id,
        run=frozen.run.name,
        sending=sending,
        recorder=recorder,
        liveness=liveness,
        limits=limits,
        caps=caps,
        concurrency=concurrency,
        lag=lag,
        failures=failures,
        events=events,
        canary=canary,
    )
    waits = spec.delivery.at_quota == "wait"
    quota = Budget("the 24-hour quota", None, watch.reread_quota, None if waits else lambda: QUOTA_USED_UP, stop, clock)
    warmup = Budget("the warm-up's cap", None, watch.reread_warmup, watch.describe_warmup, stop, clock)
    hours = _make_hours(spec, frozen.manifest.created_at, stop, clock)
    gate = Gate(pacer, clock, stop, [hours, quota, warmup])
    watch.bind(gate, quota, warmup)
    slots = Slots(concurrency)
    dispatcher = Dispatcher(
        transport=sending.transport,
        gate=gate,
        recorder=recorder,
        stop=stop,
        clock=clock,
        observe=concurrency.observe,
        jitter=draw_jitter,
        resend_in_doubt=spec.delivery.in_doubt == "resend",
        wait_for_quota=waits,
    )
    read_secret = partial(read_forget_key, frozen.store)
    tools = Tools(
        recorder=recorder,
        liveness=liveness,
        marks=marks,
        renderer=sending.renderer,
        dispatcher=dispatcher,
        guard=failures,
        stop=stop,
        clock=clock,
        count=sending.count,
        slots=slots,
        caps=caps,
        window=spec.window,
        watchlist=Watchlist(
            recorder, clock, find_topic(spec, frozen.run.name), spec.kind, lambda: pacer.limit, read_secret
        ),
        canary=canary,
    )
    worker = Worker(worker_id, frozen, tools)
    events.not_yet = worker.count_not_yet
    try:
        await watch.register()
        side_tasks = [watch.beat_for_ever(), watch.refresh_for_ever(), watch.adjust_for_ever(slots)]
        try:
            async with _watched(side_tasks, stop):
                await worker.work()
        except asyncio.CancelledError:  # a second signal: what is known is recorded all the same
            await worker.abandon()
            await watch.leave()
            raise
        # Of workers that were killed between the record and the move: readers of a finished run find every file.
        await asyncio.to_thread(finish_changes, sending.ledger, frozen.run.name, frozen.store, frozen.run.folder)
        await watch.leave()
    finally:
        await recorder.close()
    if stop.reason is not None and stop.reason.cause is StopCause.ERROR and stop.reason.error is not None:
        raise stop.reason.error


def _make_hours(spec: CampaignSpec, planned_at: datetime, stop: Stop, clock: Clock) -> Hours:
    window = spec.window
    return Hours(
        window=None if window.column else parse_window(window.opens, window.closes),
        zone=window.zone,
        deadline=find_deadline(spec, planned_at=planned_at, now=clock.now()),
        pauses=window.outside == "pause",
        stop=stop,
        clock=clock,
    )


@asynccontextmanager
async def _watched(side_tasks: Sequence[Coroutine[Any, Any, None]], stop: Stop) -> AsyncIterator[None]:
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
