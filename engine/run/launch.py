"""`mailrun launch`: take up a run or plan it, check the account, send, tell the accounts."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from engine.account.client import Endpoint
from engine.account.quota import Quota
from engine.campaign.mailbox import parse_mailbox
from engine.campaign.message import prepare_envelope
from engine.campaign.render import Renderer
from engine.campaign.spec import Campaign, change_transport, load_campaign
from engine.campaign.templates import compile_content
from engine.campaign.unsubscribe import TokenSigner
from engine.clock import Clock
from engine.delivery.barriers import describe_deadline
from engine.delivery.forecast import forecast_sending
from engine.delivery.stop import Stop
from engine.delivery.window import find_deadline
from engine.errors import PausedError, UsageError
from engine.ledger import runs
from engine.ledger.database import Ledger
from engine.ledger.journal import Result
from engine.ledger.runs import Run
from engine.ledger.schema import RunState
from engine.report.accounts import Accounts
from engine.run import planning, preflight
from engine.run.abandonable import run_abandonable
from engine.run.accounting import require_accounts
from engine.run.hands import Hands, StartHand
from engine.run.manifest import digest_tree
from engine.run.planning import FrozenRun, PlanRequest
from engine.run.sending import Sending, send_run
from engine.run.signals import stop_on_signals
from engine.run.warmup import WarmupDay, read_warmup
from engine.run.way import Way, open_way
from engine.settings import Settings
from engine.store.folder import Store

log = structlog.get_logger()

Confirm = Callable[["Forecast"], bool]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is about to happen, for whoever has to say yes.

    Attributes:
        run: its name.
        recipients: how many.
        rate: recipients a second at most.
        left_24_hours: what the 24-hour quota still allows; None is unlimited.
        endpoint: where messages go.
        text: the forecast in one sentence.
    """

    run: str
    recipients: int
    rate: float
    left_24_hours: float | None
    endpoint: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest:
    """What to launch and with what.

    Attributes:
        plan: campaign, key, workspace, limit, sandbox.
        endpoint: the embedded sandbox; None for what botocore resolves.
        make_signer: makes the signer of unsubscribe tokens, where the campaign has a way out.
        confirm: asked once, before a new run is frozen; False calls it off.
        begin: told the run's accounts as sending begins.
        count: told every final result.
        settings: with the SMTP server, where one is named.
        hands: how many processes send; None for as many as are needed.
        start_hand: starts another process that sends for the run; None where this is one.
        also: told the stop before anything is done, to request it for reasons of its own.
    """

    plan: PlanRequest
    store: Store
    ledger: Ledger
    endpoint: Endpoint | None
    make_signer: Callable[[], TokenSigner]
    clock: Clock
    confirm: Confirm
    begin: Callable[[Accounts], None]
    count: Callable[[Result], None]
    settings: Settings
    hands: int | None = 1
    start_hand: StartHand | None = None
    also: Callable[[Stop], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Launched:
    """How a launch ended.

    Attributes:
        accounts: of the run, as the ledger has them now.
        sent_now: False where the run had been finished before and nothing was done.
    """

    accounts: Accounts
    sent_now: bool


async def launch(request: LaunchRequest) -> Launched:
    """Bring a run to its end, or as far as it goes.

    Raises:
        PausedError: a second signal stopped it at once.
        MailrunError: nothing was begun, or ledger or store failed on the way.
    """
    stop = Stop()
    try:
        with stop_on_signals(stop):
            request.also(stop)
            return await _launch(request, stop)
    except asyncio.CancelledError:
        raise PausedError(
            "stopped at once: calls that were in flight are in doubt", remedy="launch again to go on; it tells which"
        ) from None


async def _launch(request: LaunchRequest, stop: Stop) -> Launched:
    known = _find_run(request)
    if known is not None and known.state in (RunState.FINISHED, RunState.CANCELLED):
        return Launched(_read_accounts(request, known.name), sent_now=False)
    campaign = request.plan.campaign if known is None else _frozen_campaign(planning.open_run(known, request.store))
    async with open_way(campaign.spec, request.settings, request.endpoint, request.plan.name) as way:
        if known is None:
            frozen, quota = await _plan_and_freeze(request, way, stop)
        else:
            frozen, quota = await _take_up(request, known, way)
        if not stop.requested:
            await _send(request, frozen, quota, way, stop)
    return Launched(_read_accounts(request, request.plan.name), sent_now=True)


def _find_run(request: LaunchRequest) -> Run | None:
    with request.ledger.read() as tx:
        known = runs.find_run(tx, request.plan.name)
    if known is not None and known.sandbox != request.plan.sandbox:
        here, there = ("the sandbox", "the real SES") if request.plan.sandbox else ("the real SES", "the sandbox")
        raise UsageError(
            f"the run {known.name} belongs to {there}, and this launch goes to {here}",
            where="--key",
            remedy="give this launch another --key",
        )
    return known


async def _plan_and_freeze(request: LaunchRequest, way: Way, stop: Stop) -> tuple[FrozenRun, Quota]:
    """Plan a new run; it becomes known only when the account may send it and somebody has said yes."""
    campaign = request.plan.campaign
    _refuse_if_late(campaign, request.plan.created_at, request)
    quota = await _check_account(way, campaign)
    prepare_envelope(campaign)
    with request.store.stage(request.plan.name) as staging:
        staged = await run_abandonable(
            lambda: planning.stage_run(request.plan, staging), stop, doing="the audience was planned"
        )
        if way.client is not None:
            await preflight.check_recipients(way.client, quota, staged.folder / "plan")
        forecast = _make_forecast(request, way, quota, staged.manifest.accepted)
        if not await run_abandonable(lambda: request.confirm(forecast), stop, doing="waiting for an answer"):
            raise UsageError("called off, nothing was sent", remedy="launch again when you are sure")
        return planning.publish_run(staged, request.store, request.ledger), quota


async def _check_account(way: Way, campaign: Campaign) -> Quota:
    if way.client is None:
        return await way.read_quota()
    return await preflight.check_account(way.client, _read_sender(campaign))


def _make_forecast(request: LaunchRequest, way: Way, quota: Quota, recipients: int) -> Forecast:
    delivery = way.spec.delivery
    shared = quota.max_send_rate * delivery.rate_share
    rate = min(shared, delivery.max_rate or shared)
    text = forecast_sending(
        recipients=recipients,
        rate=rate,
        left_24_hours=quota.left_24_hours,
        waits=delivery.at_quota == "wait",
        now=request.clock.now().astimezone(),
    )
    log.info("run.forecast", run=request.plan.name, rate=rate, note=text)
    return Forecast(request.plan.name, recipients, rate, quota.left_24_hours, way.endpoint, text)


def _refuse_if_late(campaign: Campaign, planned_at: datetime, request: LaunchRequest) -> None:
    """A start that comes too late, such as a cron job's on a machine that was down, sends nothing."""
    window = campaign.spec.window
    deadline = find_deadline(window.not_after, planned_at=planned_at, zone=window.zone)
    if deadline is not None and request.clock.now() >= deadline:
        raise UsageError(
            f"this launch comes too late: {describe_deadline(deadline, window.zone)}",
            where=f"{campaign.folder / 'campaign.toml'}, [window] not_after",
            remedy="nothing was sent; launch in time, or change not_after and launch under a new --key",
        )


async def _take_up(request: LaunchRequest, known: Run, way: Way) -> tuple[FrozenRun, Quota]:
    """Open a run that was begun; what is sent is what was frozen, and a change since then is said."""
    frozen = planning.open_run(known, request.store)
    if request.plan.transport not in (None, frozen.manifest.transport, way.spec.delivery.transport):
        raise UsageError(
            f"the run {known.name} goes by {way.spec.delivery.transport}, and this launch asks for"
            f" {request.plan.transport}",
            where="--transport",
            remedy="give this launch another --key",
        )
    _refuse_if_late(_frozen_campaign(frozen), frozen.manifest.created_at, request)
    quota = await _check_account(way, _frozen_campaign(frozen))
    if digest_tree(request.plan.campaign.folder) != frozen.manifest.campaign_files:
        log.warning("campaign.changed", run=known.name, note="the campaign as launched is sent, not as it is now")
    return frozen, quota


async def _send(request: LaunchRequest, frozen: FrozenRun, quota: Quota, way: Way, stop: Stop) -> None:
    campaign = _frozen_campaign(frozen)
    key = frozen.run.name.rpartition("/")[2]
    signer = request.make_signer() if campaign.spec.unsubscribe else None
    sender = _read_sender(campaign)
    transport = way.open_transport(
        prepare_envelope(campaign), sender_address=sender, folder=frozen.folder, worker=str(os.getpid())
    )
    request.begin(_read_accounts(request, frozen.run.name))
    hands = Hands(request.start_hand, request.hands, stop, request.clock)
    async with transport as opened, hands:
        sending = Sending(
            ledger=request.ledger,
            account=way.account,
            quota=quota,
            read_quota=way.read_quota,
            read_warmup=_make_warmup_reader(request, campaign),
            transport=opened,
            renderer=Renderer(compile_content(campaign), campaign, run_key=key, signer=signer),
            stop=stop,
            clock=request.clock,
            count=request.count,
            hands=hands,
        )
        await send_run(frozen, campaign.spec, sending)


def _make_warmup_reader(request: LaunchRequest, campaign: Campaign) -> Callable[[], WarmupDay] | None:
    if campaign.spec.warmup is None:
        return None

    def read() -> WarmupDay:
        with request.ledger.read() as tx:
            return read_warmup(tx, request.store, campaign.spec, request.clock.now())

    return read


def _frozen_campaign(frozen: FrozenRun) -> Campaign:
    loaded = load_campaign(frozen.folder / "campaign")
    spec = change_transport(loaded.spec, frozen.manifest.transport)
    return Campaign(name=frozen.run.name.partition("/")[0], folder=loaded.folder, spec=spec)


def _read_sender(campaign: Campaign) -> str:
    return parse_mailbox(campaign.spec.sender).address


def _read_accounts(request: LaunchRequest, name: str) -> Accounts:
    with request.ledger.read() as tx:
        return require_accounts(tx, name, request.store, request.clock.now())
