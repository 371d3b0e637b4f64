"""`mailrun work`, and what every launch does once its run is frozen: send for it, as one worker among others."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from msgspec import Struct, field

from engine.account.client import Endpoint, is_of_aws
from engine.campaign.content.compiled import compile_or_reuse
from engine.campaign.message import prepare_envelope
from engine.campaign.render import Renderer
from engine.campaign.spec import Campaign, change_transport, load_campaign
from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.delivery.outbound import Outbound, open_outbounds
from engine.errors import PausedError, UsageError
from engine.ledger import runs
from engine.ledger.identity import digest_run, read_identity
from engine.ledger.journal import Outcome
from engine.ledger.worker_locks import hold_worker_lock
from engine.logs import get_logger
from engine.metrics.meter import Meter
from engine.on_demand import OnDemand
from engine.progress import step
from engine.report.accounts import Accounts
from engine.report.run_accounts import require_accounts, require_run
from engine.run.frozen import FrozenRun, mark_begun, open_run, refuse_other_ledger
from engine.run.guard.ses_rates import find_limits
from engine.run.prepare.routes import Route, check_pool_and_tenant, check_region, check_routes, naming_region
from engine.run.restored import refuse_if_ledger_is_behind
from engine.run.send.context import SendContext, make_context
from engine.run.send.processes import StartWorker, WorkerProcesses
from engine.run.send.regions.region import RegionPart, RegionProcesses
from engine.run.send.regions.team import RegionTeam
from engine.run.send.warmup import complete_facts_unless_stopped
from engine.run.send.wiring import ReadSesRates, SendJob, send_run
from engine.run.settle.event_proof import settle_all_proven
from engine.stopping.abandonable import wait_unless_stopped
from engine.stopping.signals import stop_on_signals
from engine.stopping.stop import Stop
from engine.system.interpreter import start_threads
from engine.workspace import Workspace

log = get_logger()
_make_current_rates = OnDemand("engine.account.reputation.current:CurrentRates")  # only runs to SES need it


class SendRequest(Struct, frozen=True, kw_only=True):
    """The parameters of sending.

    Attributes:
        workspace: whose run it is.
        endpoint: the embedded sandbox; None for what botocore resolves.
        begin: receives the run's accounts as sending begins.
        count: receives an outcome and the number of recipients who got it.
        processes: how many processes send; None for as many as are needed.
        start_worker: starts another process that sends for the run; None where this one is such a process.
        watch: receives the stop at the start, to request it for other reasons.
        meter: receives what the workers measure, for monitoring.
    """

    workspace: Workspace
    endpoint: Endpoint | None
    begin: Callable[[Accounts], None]
    count: Callable[[Outcome, int], None]
    processes: int | None = 1
    start_worker: StartWorker | None = None
    watch: Callable[[Stop], None] = lambda _: None
    meter: Meter = field(default_factory=Meter)


class Launched(Struct, frozen=True):
    """How a launch ended.

    Attributes:
        accounts: of the run, as the ledger has them now.
        sent_now: False where the run was finished, cancelled or paused by the guard before, and nothing was done.
    """

    accounts: Accounts
    sent_now: bool


async def work(name: str, request: SendRequest) -> Launched:
    """Join a run that was launched, here or on another machine, as an additional worker.

    Args:
        name: the run's, CAMPAIGN/KEY.
        request: what to send with.

    Raises:
        UsageError: the run is not in the ledger, or it goes to the embedded sandbox of a launch.
        PausedError: a second signal stopped it at once.
        MailrunError: ledger or store failed on the way.
    """
    return await until_stopped(request, partial(_work, name, request))


async def until_stopped(request: SendRequest, body: Callable[[SendContext], Awaitable[Launched]]) -> Launched:
    """Run work whose context has a stop that signals request.

    Raises:
        PausedError: a second signal stopped it at once.
    """
    stop = Stop()
    try:
        with stop_on_signals(stop):
            start_threads()
            request.watch(stop)
            context = make_context(request.workspace, stop)
            async with context.notifications.sending():
                return await body(context)
    except asyncio.CancelledError:
        raise PausedError(
            "stopped at once: calls that were in flight are in doubt",
            remedy="launch again to resume, then list them with mailrun resolve RUN",
        ) from None


async def _work(name: str, request: SendRequest, context: SendContext) -> Launched:
    known = require_run(context.ledger, name)
    if known.sandbox and request.endpoint is None:
        raise UsageError(
            f"the run {name} goes to the sandbox inside its launch",
            where="RUN",
            remedy="resume it by mailrun launch with the same --key and --sandbox",
        )
    if known.state in runs.OVER or known.paused_by == runs.GUARD:
        return Launched(read_accounts(context, name), sent_now=False)
    refuse_other_ledger(name, context.store, context.ledger)
    frozen = open_run(known, context.store)
    refuse_if_ledger_is_behind(context.ledger, known, context.store)
    campaign = load_frozen_campaign(frozen)
    async with open_outbounds(campaign.spec, context.settings, request.endpoint, name) as outbounds:
        checked = check_routes(outbounds, campaign.spec.sender_address)
        routes = await wait_unless_stopped(checked, context.stop, doing="the account was checked")
        if not context.stop.requested:
            await send(context, request, frozen, routes)
    return Launched(read_accounts(context, name), sent_now=True)


async def send(context: SendContext, request: SendRequest, frozen: FrozenRun, routes: Sequence[Route]) -> None:
    """Send for a frozen run until it is finished or must stop.

    Args:
        context: what to work in.
        request: what to send with.
        frozen: the run.
        routes: the accounts to send through, as checked; at least one is ready.

    Raises:
        MailrunError: ledger or store failed; the ledger has the recipients in doubt or unsent.
    """
    campaign, name, stop = load_frozen_campaign(frozen), frozen.run.name, context.stop
    signer = TokenSigner(request.workspace.read_signing_keys()) if campaign.spec.signs_links else None
    mark_begun(frozen, context.ledger, context.clock.now())
    if campaign.spec.notify is not None:
        context.notifications.start()
    if campaign.spec.warmup is not None:
        await complete_facts_unless_stopped(context.ledger, context.store, stop)
    request.begin(read_accounts(context, name))
    processes = WorkerProcesses(request.start_worker, request.processes, stop, context.clock)
    content, loads = compile_or_reuse(campaign), dict[str, tuple[int, float]]()
    make_renderer = partial(
        Renderer,
        content,
        campaign,
        run_key=name.rpartition("/")[2],
        signer=signer,
        run=digest_run(read_identity(context.ledger), name),
    )

    async def send_through(context: SendContext, route: Route, region: RegionPart | None) -> None:
        assert route.quota is not None  # noqa: S101 - it is ready
        transport = route.outbound.open_transport(
            prepare_envelope(campaign),
            sender_address=campaign.spec.sender_address,
            folder=frozen.folder,
            worker=str(os.getpid()),
        )
        watched = route.outbound if request.endpoint is None and has_ses_rates(route.outbound) else None
        async with transport as opened, _open_ses_rates(context, watched) as read_ses_rates:
            job = SendJob(
                frozen=frozen,
                spec=campaign.spec,
                account=route.outbound.account,
                quota=route.quota,
                read_quota=route.outbound.read_quota,
                transport=opened,
                renderer=make_renderer(writer=opened.writer),
                count=request.count,
                processes=processes if region is None else RegionProcesses(processes, loads, region.name),
                read_ses_rates=read_ses_rates,
                named_region=route.outbound.region,
                region=region,
                meter=request.meter,
            )
            with hold_worker_lock(job.worker_id):
                await send_run(context, job)

    async with processes:
        stop.is_sending = True
        with step("sending", is_shown=False):
            if len(routes) == 1:
                await send_through(context, routes[0], None)
            else:
                check = partial(_check_again, is_embedded=request.endpoint is not None)
                await RegionTeam(context=context, routes=routes, check=check, send=send_through).run()
    if not stop.requested:  # by events that arrived meanwhile, for leases that were still open
        await asyncio.to_thread(settle_all_proven, context.ledger, context.store, [name], clock=context.clock)


async def _check_again(outbound: Outbound, *, is_embedded: bool) -> Route:
    """Check a region that did not send so far, as a launch checks those that do.

    Raises:
        MailrunError: it cannot be used as it is set up.
    """
    route = await check_region(outbound, outbound.spec.sender_address)
    if route.quota is not None and not is_embedded:
        with naming_region(outbound.region):
            await check_pool_and_tenant(outbound, route.quota)
    return route


def has_ses_rates(outbound: Outbound) -> bool:
    """Return whether SES computes rates for a run's mail, which its guard can read from CloudWatch.

    True for the transport `ses` to an endpoint of AWS. To another endpoint, such as a sandbox, only where
    AWS_ENDPOINT_URL_CLOUDWATCH names one: otherwise CloudWatch's would be AWS's own, of another account.
    """
    if outbound.ses is None or outbound.server is not None or not find_limits(outbound.spec.guard):
        return False
    return is_of_aws(outbound.client) or bool(os.environ.get("AWS_ENDPOINT_URL_CLOUDWATCH"))


@asynccontextmanager
async def _open_ses_rates(context: SendContext, watched: Outbound | None) -> AsyncIterator[ReadSesRates | None]:
    """Yield what reads the account's rates, which connects at the first read; None where they are not watched."""
    if watched is None:
        yield None
        return
    rates = _make_current_rates(context.clock, watched.region)
    try:
        yield rates.read
    finally:
        await rates.close()


def load_frozen_campaign(frozen: FrozenRun) -> Campaign:
    """Load the campaign as it was launched."""
    loaded = load_campaign(frozen.folder / "campaign")
    spec = change_transport(loaded.spec, frozen.manifest.transport)
    return Campaign(name=frozen.run.name.partition("/")[0], folder=loaded.folder, spec=spec)


def read_accounts(context: SendContext, name: str) -> Accounts:
    """Read a run's accounts as they are now."""
    return require_accounts(context.ledger, name, context.store, context.clock.now())
