"""Sends for a frozen run: makes the worker and its parts, and runs it beside its side tasks."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any

from msgspec import Struct, field

from engine.account.quota import AccountQuota
from engine.account.reputation.limits import RateKind
from engine.campaign.render import Renderer
from engine.campaign.spec import CampaignSpec
from engine.clock import Clock
from engine.delivery.dispatch import Dispatcher
from engine.delivery.pacing.admission import Admission
from engine.delivery.pacing.budgets import Allowance, Budget, Hours
from engine.delivery.pacing.concurrency import Concurrency, Slots, find_most
from engine.delivery.pacing.gate import Gate, SendLimit
from engine.delivery.pacing.interleaving import DomainCap, Interleaving
from engine.delivery.pacing.pace_sampler import PaceSampler
from engine.delivery.pacing.pacer import Pacer
from engine.delivery.pacing.rate_share import RateShare
from engine.delivery.pacing.window import find_deadline, parse_window
from engine.delivery.retry import draw_jitter
from engine.delivery.transport import Transport
from engine.ledger.journal import Outcome
from engine.ledger.recorder import PATIENCE_SECONDS, Recorder
from engine.ledger.workers import Liveness
from engine.metrics.meter import Meter, Pulse
from engine.run.facts import find_topic
from engine.run.frozen import FrozenRun
from engine.run.guard.canary import make_canary
from engine.run.guard.evidence import EventGuard
from engine.run.guard.judge import FailureGuard
from engine.run.guard.safeguards import Safeguards
from engine.run.guard.ses_rates import SesRateGuard, find_limits
from engine.run.outcomes import finish_changes
from engine.run.send.calls import Calls
from engine.run.send.context import SendContext
from engine.run.send.heartbeat import Heartbeat, WorkerIdentity
from engine.run.send.lease_holder import LeaseHolder
from engine.run.send.marks import Marks
from engine.run.send.messages import MessageMaker
from engine.run.send.open_lease import OpenLeases
from engine.run.send.processes import WorkerProcesses
from engine.run.send.rates import Rates
from engine.run.send.recheck import Watchlist
from engine.run.send.regions.region import RegionPart, RegionProcesses
from engine.run.send.results import ResultKeeper
from engine.run.send.tuning import Tuning
from engine.run.send.warmup import WarmupShare, make_warmup_reader
from engine.run.send.worker import Worker, make_recipient_windows
from engine.stopping.stop import Stop, StopCause, StopReason
from engine.store.keys import read_forget_key

LAST_PATIENCE_SECONDS = 15.0  # for a ledger that is unreachable after a signal: within a pod's grace period

ReadSesRates = Callable[[], Awaitable[Mapping[RateKind, float]]]
QUOTA_USED_UP = StopReason(
    StopCause.PAUSED, "the account's 24-hour quota is used up", "launch again when part of the 24-hour quota is free"
)


class SendJob(Struct, frozen=True, kw_only=True):
    """What one worker sends, and how.

    Attributes:
        frozen: the run.
        spec: of its campaign.
        account: names the account whose rate is shared: the endpoint.
        quota: the account's, as read before the start.
        read_quota: reads it again.
        transport: hands over messages.
        renderer: makes them.
        count: receives an outcome and the number of recipients who got it.
        processes: further processes that send for the run.
        read_ses_rates: reads the account's rates as SES computes them; None where the run does not go to SES.
        named_region: the account's, where the campaign names its regions; empty where it does not.
        region: its part in a run that is sent through several regions; None for any other.
        worker_id: the worker's random identity.
        meter: receives what the worker measures, for monitoring.
    """

    frozen: FrozenRun
    spec: CampaignSpec
    account: str
    quota: AccountQuota
    read_quota: Callable[[], Awaitable[AccountQuota]]
    transport: Transport
    renderer: Renderer
    count: Callable[[Outcome, int], None]
    processes: WorkerProcesses | RegionProcesses
    read_ses_rates: ReadSesRates | None = None
    named_region: str = ""
    region: RegionPart | None = None
    worker_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    meter: Meter = field(default_factory=Meter)

    @property
    def pulse(self) -> Pulse:
        """What the worker measures."""
        return self.meter.begin(self.worker_id, self.named_region)


async def send_run(context: SendContext, job: SendJob) -> None:
    """Send for a run until it is finished or must stop; leaves its state in the ledger.

    Raises:
        MailrunError: ledger or store failed; what was in flight is in doubt or unsent, as the ledger says.
    """
    frozen, stop = job.frozen, context.stop
    marks = Marks(context.store, frozen.run.folder)
    recorder = Recorder(
        context.ledger,
        context.clock,
        patience=lambda: LAST_PATIENCE_SECONDS if stop.is_urgent else PATIENCE_SECONDS,
        durable=marks.advance,
        observe=job.pulse.commits.observe,
    )
    crew = _make_crew(context, job, recorder, marks)
    try:
        await crew.ses_rates.check_first()
        if job.region is not None:
            await job.region.begin()
        await crew.heartbeat.register()
        try:
            async with _beside(crew.list_side_tasks(), stop):
                await crew.worker.work()
        except asyncio.CancelledError:  # a second signal: results that are known are still recorded
            await crew.worker.abandon()
            await crew.heartbeat.leave()
            raise
        # Files of workers that were killed between the record and the move: readers of a finished run find every file.
        await asyncio.to_thread(finish_changes, context.ledger, frozen.run.name, context.store, frozen.run.folder)
        await crew.heartbeat.leave()
    finally:
        await recorder.close()
    if stop.reason is not None and stop.reason.cause is StopCause.ERROR and stop.reason.error is not None:
        raise stop.reason.error


class _Crew(Struct, frozen=True):
    """A worker and the tasks beside it."""

    worker: Worker
    heartbeat: Heartbeat
    rates: Rates
    tuning: Tuning
    ses_rates: SesRateGuard

    def list_side_tasks(self) -> list[Coroutine[Any, Any, None]]:
        return [self.heartbeat.keep_alive(), self.rates.refresh(), self.tuning.adjust(), self.ses_rates.watch()]


def _make_crew(context: SendContext, job: SendJob, recorder: Recorder, marks: Marks) -> _Crew:
    """Make the worker's parts, each with its dependencies."""
    clock, stop, spec, frozen = context.clock, context.stop, job.spec, job.frozen
    identity = WorkerIdentity(job.worker_id, frozen.run.name, job.account, job.region)
    liveness, open_leases, admission = Liveness(), OpenLeases(), Admission(clock)
    rates = _make_rates(context, job, recorder, admission)
    safeguards = _make_safeguards(context, job, recorder, open_leases)
    concurrency = _make_concurrency(job)
    slots = Slots(concurrency)
    heartbeat = Heartbeat(
        worker=identity,
        recorder=recorder,
        liveness=liveness,
        rates=rates,
        safeguards=safeguards,
        admission=admission,
        pace=_make_pace(job, rates, slots),
        clock=clock,
        stop=stop,
    )
    gate = _make_gate(context, job, rates, heartbeat)
    results = ResultKeeper(recorder=recorder, guard=safeguards.failures, stop=stop, clock=clock, count=job.count)
    watchlist = _make_watchlist(context, job, recorder, rates.pacer)
    dispatcher = _make_dispatcher(context, job, recorder, gate, concurrency)
    windows = make_recipient_windows(spec.window, clock)
    worker = Worker(
        holder=LeaseHolder(
            worker_id=identity.id,
            frozen=frozen,
            recorder=recorder,
            liveness=liveness,
            marks=marks,
            canary=safeguards.canary,
            resend_in_doubt=dispatcher.resend_in_doubt,
            clock=clock,
        ),
        open_leases=open_leases,
        interleaving=Interleaving(rates.caps, windows),
        windows=windows,
        pauses_outside=spec.window.outside == "pause",
        maker=MessageMaker(renderer=job.renderer, transport=job.transport, results=results),
        watchlist=watchlist,
        calls=Calls(dispatcher=dispatcher, slots=slots, watchlist=watchlist, results=results, clock=clock, stop=stop),
        gate=gate,
        clock=clock,
        stop=stop,
    )
    tuning = Tuning(
        worker=identity,
        transport=job.transport,
        gate=gate,
        concurrency=concurrency,
        rates=rates,
        meter=job.meter,
        slots=slots,
        safeguards=safeguards,
        recorder=recorder,
        processes=job.processes,
        clock=clock,
    )
    return _Crew(worker, heartbeat, rates, tuning, _make_ses_rates(context, job, recorder))


def _make_concurrency(job: SendJob) -> Concurrency:
    connections = find_most() // (1 if job.region is None else job.region.regions)
    return Concurrency(min(max(1, connections), job.transport.most_calls))


def _observe(concurrency: Concurrency, pulse: Pulse, durations: Sequence[float]) -> None:
    concurrency.observe(sum(durations) / len(durations))
    pulse.calls.observe(durations)


def _make_pace(job: SendJob, rates: Rates, slots: Slots) -> PaceSampler:
    begun, admission = rates.clock.monotonic(), rates.admission
    return PaceSampler(worker=job.worker_id, admission=admission, pacer=rates.pacer, slots=slots, begun=begun)


def _make_ses_rates(context: SendContext, job: SendJob, recorder: Recorder) -> SesRateGuard:
    return SesRateGuard(
        run=job.frozen.run.name,
        limits=find_limits(job.spec.guard),
        read=job.read_ses_rates,
        recorder=recorder,
        clock=context.clock,
        stop=context.stop,
        region=job.named_region,
    )


def _make_rates(context: SendContext, job: SendJob, recorder: Recorder, admission: Admission) -> Rates:
    clock = context.clock
    rate_share = RateShare(job.quota, job.spec, clock.monotonic())
    warmup = WarmupShare(
        read=make_warmup_reader(context.ledger, context.store, job.spec, job.frozen.run.name, clock),
        allowance=Allowance(),
        rate_share=rate_share,
        admission=admission,
        recorder=recorder,
        clock=clock,
    )
    return Rates(
        run=job.frozen.run.name,
        read_quota=job.read_quota,
        rate_share=rate_share,
        pacer=Pacer(rate_share.ceiling, clock.monotonic(), jitter=draw_jitter()),
        caps={domain: DomainCap(cap.max_rate) for domain, cap in job.spec.domains.items()},
        quota_left=Allowance(),
        warmup=warmup,
        admission=admission,
        clock=clock,
        stop=context.stop,
    )


def _make_safeguards(context: SendContext, job: SendJob, recorder: Recorder, open_leases: OpenLeases) -> Safeguards:
    run, spec = job.frozen.run, job.spec
    return Safeguards(
        run=run.name,
        failures=FailureGuard(spec.guard.max_failure_rate, spec.guard.max_refusal_rate),
        events=EventGuard(
            run=run.name, sandbox=run.sandbox, spec=spec.guard, not_yet=open_leases.count_without_outcome
        ),
        canary=make_canary(run.name, spec.canary, spec.guard, job.frozen.manifest.leases, accepted=run.accepted),
        recorder=recorder,
        stop=context.stop,
    )


def _make_gate(context: SendContext, job: SendJob, rates: Rates, heartbeat: Heartbeat) -> Gate:
    clock, stop = context.clock, context.stop
    waits, region = job.spec.delivery.at_quota == "wait", job.region

    def end_at_quota() -> StopReason | None:
        return None if waits and (region is None or region.is_last()) else QUOTA_USED_UP

    at_end = None if waits and region is None else end_at_quota
    limits: list[SendLimit] = [
        _make_hours(job.spec, job.frozen.manifest.created_at, stop, clock),
        Budget("the 24-hour quota", rates.quota_left, rates.reread_quota, at_end, stop, clock),
        Budget("the warm-up's cap", rates.warmup.allowance, rates.warmup.reread, rates.warmup.describe, stop, clock),
    ]
    return Gate(rates.pacer, clock, stop, limits, rates.admission, heartbeat)


def _make_watchlist(context: SendContext, job: SendJob, recorder: Recorder, pacer: Pacer) -> Watchlist:
    return Watchlist(
        recorder,
        context.clock,
        find_topic(job.spec, job.frozen.run.name),
        job.spec.kind,
        rate=lambda: pacer.limit,
        read_secret=partial(read_forget_key, context.store),
    )


def _make_dispatcher(
    context: SendContext, job: SendJob, recorder: Recorder, gate: Gate, concurrency: Concurrency
) -> Dispatcher:
    return Dispatcher(
        transport=job.transport,
        gate=gate,
        recorder=recorder,
        stop=context.stop,
        clock=context.clock,
        observe=partial(_observe, concurrency, job.pulse),
        jitter=draw_jitter,
        resend_in_doubt=job.spec.delivery.in_doubt == "resend",
        wait_for_quota=job.spec.delivery.at_quota == "wait",
        leaves_at_quota=lambda: job.region is not None and not job.region.is_last(),
    )


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
async def _beside(side_tasks: Sequence[Coroutine[Any, Any, None]], stop: Stop) -> AsyncIterator[None]:
    """Run side tasks beside a block; a task that fails stops the worker with its error."""
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
