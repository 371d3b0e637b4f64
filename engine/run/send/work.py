"""`mailrun work`, and what every launch does once its run is frozen: send for it, as one worker among equals."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import structlog

from engine.account.client import Endpoint
from engine.account.quota import AccountQuota
from engine.campaign.content.templates import compile_content
from engine.campaign.message import prepare_envelope
from engine.campaign.render import Renderer
from engine.campaign.spec import Campaign, change_transport, load_campaign
from engine.campaign.unsubscribe import TokenSigner
from engine.clock import Clock
from engine.delivery.outbound import Outbound, open_outbound
from engine.errors import PausedError, UsageError
from engine.ledger import runs
from engine.ledger.database import Ledger
from engine.ledger.journal import Result
from engine.ledger.worker_locks import hold_worker_lock
from engine.progress import step
from engine.report.accounts import Accounts
from engine.report.run_accounts import require_accounts, require_run
from engine.run.facts import complete_facts
from engine.run.frozen import FrozenRun, mark_begun, open_run, refuse_other_ledger
from engine.run.prepare.preflight import check_account_or_wait
from engine.run.restored import refuse_if_ledger_is_behind
from engine.run.send.processes import StartWorker, WorkerProcesses
from engine.run.send.warmup import WarmupDay, read_warmup
from engine.run.send.wiring import Sending, send_run
from engine.run.settle.event_proof import settle_all_proven
from engine.settings import Settings
from engine.stopping.abandonable import wait_unless_stopped
from engine.stopping.signals import stop_on_signals
from engine.stopping.stop import Stop
from engine.store.port import Store
from engine.system.interpreter import start_threads

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a worker of any run works with.

    Attributes:
        endpoint: the embedded sandbox; None for what botocore resolves.
        read_keys: reads the keys that sign unsubscribe tokens, where the campaign has links of its own.
        begin: told the run's accounts as sending begins.
        count: told every final result.
        settings: with the SMTP server, where one is named.
        processes: how many processes send; None for as many as are needed.
        start_worker: starts another process that sends for the run; None where this is one.
        also: told the stop before anything is done, to request it for reasons of its own.
    """

    store: Store
    ledger: Ledger
    endpoint: Endpoint | None
    read_keys: Callable[[], tuple[bytes, ...]]
    clock: Clock
    begin: Callable[[Accounts], None]
    count: Callable[[Result], None]
    settings: Settings
    processes: int | None = 1
    start_worker: StartWorker | None = None
    also: Callable[[Stop], None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkRequest(Surroundings):
    """Which run to work on, and with what.

    Attributes:
        name: the run's, CAMPAIGN/KEY.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Launched:
    """How a launch ended.

    Attributes:
        accounts: of the run, as the ledger has them now.
        sent_now: False where the run was finished, cancelled or paused by the guard before, and nothing was done.
    """

    accounts: Accounts
    sent_now: bool


async def work(request: WorkRequest) -> Launched:
    """Be another worker of a run that was launched, here or on another machine, until it ends or must stop.

    Raises:
        UsageError: the ledger does not know the run, or it goes to the embedded sandbox of a launch.
        PausedError: a second signal stopped it at once.
        MailrunError: ledger or store failed on the way.
    """
    return await until_stopped(request, partial(_work, request))


async def until_stopped(request: Surroundings, body: Callable[[Stop], Awaitable[Launched]]) -> Launched:
    """Work under a stop that signals request.

    Raises:
        PausedError: a second signal stopped it at once.
    """
    stop = Stop()
    try:
        with stop_on_signals(stop):
            start_threads()
            request.also(stop)
            return await body(stop)
    except asyncio.CancelledError:
        raise PausedError(
            "stopped at once: calls that were in flight are in doubt", remedy="launch again to resume; it says which"
        ) from None


async def _work(request: WorkRequest, stop: Stop) -> Launched:
    known = require_run(request.ledger, request.name)
    if known.sandbox and request.endpoint is None:
        raise UsageError(
            f"the run {known.name} goes to the sandbox inside its launch",
            where="RUN",
            remedy="go on with it by mailrun launch and the same --key and --sandbox",
        )
    if known.state in runs.OVER or known.paused_by == runs.GUARD:
        return Launched(read_accounts(request, known.name), sent_now=False)
    refuse_other_ledger(known.name, request.store, request.ledger)
    frozen = open_run(known, request.store)
    refuse_if_ledger_is_behind(request.ledger, known, request.store)
    campaign = load_frozen_campaign(frozen)
    async with open_outbound(campaign.spec, request.settings, request.endpoint, known.name) as outbound:
        checked = check_account_or_wait(outbound, campaign.spec.sender_address)
        quota = await wait_unless_stopped(checked, stop, doing="the account was checked")
        if not stop.requested:
            await send(request, frozen, quota, outbound, stop)
    return Launched(read_accounts(request, known.name), sent_now=True)


async def send(request: Surroundings, frozen: FrozenRun, quota: AccountQuota, outbound: Outbound, stop: Stop) -> None:
    """Send for a frozen run until it is finished or must stop.

    Args:
        request: what to send with.
        frozen: the run.
        quota: the account's, as checked.
        outbound: the open way out.
        stop: ends it in order.

    Raises:
        MailrunError: ledger or store failed; the ledger tells what is in doubt or unsent.
    """
    campaign = load_frozen_campaign(frozen)
    key = frozen.run.name.rpartition("/")[2]
    signer = TokenSigner(request.read_keys()) if campaign.spec.signs_links else None
    transport = outbound.open_transport(
        prepare_envelope(campaign),
        sender_address=campaign.spec.sender_address,
        folder=frozen.folder,
        worker=str(os.getpid()),
    )
    mark_begun(frozen, request.ledger, request.clock.now())
    request.begin(read_accounts(request, frozen.run.name))
    processes = WorkerProcesses(request.start_worker, request.processes, stop, request.clock)
    async with transport as opened, processes:
        sending = Sending(
            ledger=request.ledger,
            account=outbound.account,
            quota=quota,
            read_quota=outbound.read_quota,
            read_warmup=_make_warmup_reader(request, campaign, frozen.run.name),
            transport=opened,
            renderer=Renderer(compile_content(campaign), campaign, run_key=key, signer=signer),
            stop=stop,
            clock=request.clock,
            count=request.count,
            processes=processes,
        )
        stop.is_sending = True
        with step("sending", is_shown=False), hold_worker_lock(sending.worker_id):
            await send_run(frozen, campaign.spec, sending)
    if not stop.requested:  # of events that came meanwhile, for leases that were still open
        run = [frozen.run.name]
        await asyncio.to_thread(settle_all_proven, request.ledger, request.store, run, clock=request.clock)


def _make_warmup_reader(request: Surroundings, campaign: Campaign, run: str) -> Callable[[], WarmupDay] | None:
    if campaign.spec.warmup is None:
        return None
    complete_facts(request.ledger, request.store)

    def read() -> WarmupDay:
        with request.ledger.read() as tx:
            return read_warmup(tx, campaign.spec, request.clock.now(), run=run)

    return read


def load_frozen_campaign(frozen: FrozenRun) -> Campaign:
    """Load the campaign as it was launched."""
    loaded = load_campaign(frozen.folder / "campaign")
    spec = change_transport(loaded.spec, frozen.manifest.transport)
    return Campaign(name=frozen.run.name.partition("/")[0], folder=loaded.folder, spec=spec)


def read_accounts(request: Surroundings, name: str) -> Accounts:
    """Read a run's accounts as they are now."""
    return require_accounts(request.ledger, name, request.store, request.clock.now())
