"""`mailrun launch`: take up a run or plan it, check the account, send, tell the accounts."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from engine.account.client import QUESTIONS, SENDS, Endpoint, open_client
from engine.account.quota import Quota
from engine.campaign.lint import Severity
from engine.campaign.mailbox import parse_mailbox
from engine.campaign.message import prepare_envelope
from engine.campaign.render import Renderer
from engine.campaign.spec import Campaign, load_campaign
from engine.campaign.templates import compile_content
from engine.campaign.unsubscribe import TokenSigner
from engine.clock import Clock
from engine.delivery.stop import Stop
from engine.delivery.transports.ses import SesTransport
from engine.errors import PausedError, UsageError
from engine.ledger import runs
from engine.ledger.database import Ledger
from engine.ledger.journal import Result
from engine.ledger.runs import Run
from engine.report.accounts import Accounts
from engine.run import content_check, planning, preflight
from engine.run.abandonable import run_in_daemon_thread, wait_unless_stopped
from engine.run.accounting import require_accounts, require_run
from engine.run.changes import find_changes
from engine.run.marks import refuse_if_ledger_is_behind
from engine.run.planning import FrozenRun, PlanRequest, StagedRun
from engine.run.proven import settle_all_proven
from engine.run.rendering import RenderJob
from engine.run.sending import Sending, send_run
from engine.run.signals import stop_on_signals
from engine.store.folder import Store

log = structlog.get_logger()

Confirm = Callable[["Forecast"], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is about to happen, for whoever has to say yes.

    Attributes:
        run: its name.
        recipients: how many.
        rate: recipients a second at most.
        left_24_hours: what the 24-hour quota still allows; None is unlimited.
        endpoint: where SES is.
    """

    run: str
    recipients: int
    rate: float
    left_24_hours: float | None
    endpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a worker of any run works with.

    Attributes:
        endpoint: the embedded sandbox; None for what botocore resolves.
        read_keys: reads the keys that sign unsubscribe tokens, where the campaign has links of its own.
        begin: told the run's accounts as sending begins.
        count: told every final result.
    """

    store: Store
    ledger: Ledger
    endpoint: Endpoint | None
    read_keys: Callable[[], tuple[bytes, ...]]
    clock: Clock
    begin: Callable[[Accounts], None]
    count: Callable[[Result], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest(Surroundings):
    """What to launch and with what.

    Attributes:
        plan: campaign, key, workspace, limit, sandbox.
        confirm: asked once, before a new run is frozen; False calls it off.
    """

    plan: PlanRequest
    confirm: Confirm


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
    return await _until_stopped(partial(_launch, request))


async def work(request: WorkRequest) -> Launched:
    """Be another worker of a run that was launched, here or on another machine, until it ends or must stop.

    Raises:
        UsageError: the ledger does not know the run, or it goes to the embedded sandbox of a launch.
        PausedError: a second signal stopped it at once.
        MailrunError: ledger or store failed on the way.
    """
    return await _until_stopped(partial(_work, request))


async def _until_stopped(body: Callable[[Stop], Awaitable[Launched]]) -> Launched:
    stop = Stop()
    try:
        with stop_on_signals(stop):
            return await body(stop)
    except asyncio.CancelledError:
        raise PausedError(
            "stopped at once: calls that were in flight are in doubt", remedy="launch again to go on; it tells which"
        ) from None


async def _launch(request: LaunchRequest, stop: Stop) -> Launched:
    known = _find_run(request)
    if known is not None and known.state in runs.OVER:
        return Launched(_read_accounts(request, known.name), sent_now=False)
    if known is None:
        _refuse_second_run(request)
    async with open_client(QUESTIONS, request.endpoint) as account:
        if known is None:
            frozen, quota = await _plan_and_freeze(request, account, stop)
        else:
            frozen, quota = await _take_up(request, known, account)
        refuse_if_ledger_is_behind(request.ledger, frozen.run, request.store)
        if not stop.requested:
            async with open_client(SENDS, request.endpoint) as sender:
                await _send(request, frozen, quota, account=account, sender=sender, stop=stop)
    return Launched(_read_accounts(request, request.plan.name), sent_now=True)


async def _work(request: WorkRequest, stop: Stop) -> Launched:
    with request.ledger.read() as tx:
        known = require_run(tx, request.name)
    if known.sandbox:
        raise UsageError(
            f"the run {known.name} goes to the sandbox inside its launch",
            where="RUN",
            remedy="go on with it by mailrun launch and the same --key and --sandbox",
        )
    if known.state in runs.OVER:
        return Launched(_read_accounts(request, known.name), sent_now=False)
    frozen = planning.open_run(known, request.store)
    refuse_if_ledger_is_behind(request.ledger, known, request.store)
    async with open_client(QUESTIONS, request.endpoint) as account:
        quota = await preflight.check_account(account, _read_sender(_frozen_campaign(frozen)))
        if not stop.requested:
            async with open_client(SENDS, request.endpoint) as sender:
                await _send(request, frozen, quota, account=account, sender=sender, stop=stop)
    return Launched(_read_accounts(request, known.name), sent_now=True)


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


def _refuse_second_run(request: LaunchRequest) -> None:
    """Refuse to begin a run under a key that the clock made while an earlier one is unfinished.

    A pod that is started again after midnight goes on with what it began: it never begins the next day's run instead.

    Raises:
        UsageError: naming the unfinished run.
    """
    if request.plan.is_key_given:
        return
    with request.ledger.read() as tx:
        unfinished = [run for run in runs.list_runs(tx) if run.state not in runs.OVER]
    campaign = request.plan.campaign.name
    for run in unfinished:
        if run.name.partition("/")[0] == campaign and run.sandbox == request.plan.sandbox:
            key = run.name.rpartition("/")[2]
            raise UsageError(
                f"{run.name} is unfinished ({run.state}), and this launch would begin {request.plan.name}",
                where="the default key, made from the time",
                remedy=f"finish it with --key {key}; or begin the new run by naming it: --key {request.plan.key}",
            )


async def _plan_and_freeze(request: LaunchRequest, client: Any, stop: Stop) -> tuple[FrozenRun, Quota]:
    """Plan a new run; it becomes known only when the account may send it and somebody has said yes."""
    campaign = request.plan.campaign
    quota = await preflight.check_account(client, _read_sender(campaign))
    prepare_envelope(campaign)
    with request.store.stage(request.plan.name) as staging:
        work = run_in_daemon_thread(lambda: planning.stage_run(request.plan, staging), name="planning")
        staged = await wait_unless_stopped(work, stop, doing="the audience was planned")
        checked = run_in_daemon_thread(lambda: _check_content(request, staged), name="checking")
        await wait_unless_stopped(checked, stop, doing="the content was checked")
        await preflight.check_recipients(client, quota, staged.folder / "plan")
        for note in staged.manifest.notes:
            log.warning("plan.note", note=note)
        delivery = campaign.spec.delivery
        shared = quota.max_send_rate * delivery.rate_share
        forecast = Forecast(
            run=request.plan.name,
            recipients=staged.manifest.accepted,
            rate=min(shared, delivery.max_rate or shared),
            left_24_hours=quota.left_24_hours,
            endpoint=client.meta.endpoint_url,
        )
        if not await wait_unless_stopped(request.confirm(forecast), stop, doing="waiting for an answer"):
            raise UsageError("called off, nothing was sent", remedy="launch again when you are sure")
        return planning.publish_run(staged, request.store, request.ledger), quota


def _check_content(request: LaunchRequest, staged: StagedRun) -> None:
    """Stop at errors of the content; tell its warnings.

    Raises:
        DataError: the content must not be sent.
    """
    campaign, manifest = request.plan.campaign, staged.manifest
    job = RenderJob(
        folder=staged.folder,
        name=campaign.name,
        run_key=request.plan.key,
        columns=manifest.columns,
        keys=request.read_keys() if campaign.spec.signs_links else (),
    )
    findings = content_check.check_templates(campaign, staged.folder, manifest, manifest.columns)
    sample = content_check.check_sample(job, manifest)
    findings.merge(sample.findings)
    content_check.refuse_errors(
        sample, max_failure_rate=campaign.spec.guard.max_failure_rate, where=str(campaign.folder)
    )
    for finding in [*findings.of(Severity.ERROR), *findings.of(Severity.WARNING)]:
        log.warning("content.finding", what=finding.what, where=finding.where, do=finding.remedy)


async def _take_up(request: LaunchRequest, known: Run, client: Any) -> tuple[FrozenRun, Quota]:
    """Open a run that was begun; what is sent is what was frozen, and a change since then is said."""
    frozen = planning.open_run(known, request.store)
    quota = await preflight.check_account(client, _read_sender(_frozen_campaign(frozen)))
    if changes := find_changes(frozen.manifest, request.plan.workspace, campaign=request.plan.campaign.folder):
        note = "what was launched is sent, not what is there now: " + "; ".join(changes)
        log.warning("sources.changed", run=known.name, note=note)
    if request.plan.limit not in (None, frozen.manifest.limit) or request.plan.is_audience_given:
        log.warning("options.ignored", run=known.name, note="the plan is frozen: --audience and --limit change nothing")
    return frozen, quota


async def _send(  # noqa: PLR0913 - what a worker needs, and both clients
    request: Surroundings, frozen: FrozenRun, quota: Quota, *, account: Any, sender: Any, stop: Stop
) -> None:
    campaign = _frozen_campaign(frozen)
    envelope = prepare_envelope(campaign)
    key = frozen.run.name.rpartition("/")[2]
    signer = TokenSigner(request.read_keys()) if campaign.spec.signs_links else None
    sending = Sending(
        ledger=request.ledger,
        client=account,
        account=account.meta.endpoint_url,
        quota=quota,
        transport=SesTransport(sender, envelope, sender_address=_read_sender(campaign)),
        renderer=Renderer(compile_content(campaign), campaign, run_key=key, signer=signer),
        stop=stop,
        clock=request.clock,
        count=request.count,
    )
    planning.mark_begun(frozen, request.clock.now())
    request.begin(_read_accounts(request, frozen.run.name))
    await send_run(frozen, campaign.spec, sending)
    if not stop.requested:  # of events that came meanwhile, for leases that were still open
        run = [frozen.run.name]
        await asyncio.to_thread(settle_all_proven, request.ledger, request.store, run, clock=request.clock)


def _frozen_campaign(frozen: FrozenRun) -> Campaign:
    loaded = load_campaign(frozen.folder / "campaign")
    return Campaign(name=frozen.run.name.partition("/")[0], folder=loaded.folder, spec=loaded.spec)


def _read_sender(campaign: Campaign) -> str:
    return parse_mailbox(campaign.spec.sender).address


def _read_accounts(request: Surroundings, name: str) -> Accounts:
    with request.ledger.read() as tx:
        return require_accounts(tx, name, request.store, request.clock.now())
