"""`mailrun launch`: resume a run or plan it, check the account, send, return the accounts."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct

from engine.account.client import find_account_id
from engine.account.quota import AccountQuota
from engine.campaign.lint_findings import Severity
from engine.campaign.message import prepare_envelope
from engine.campaign.spec import Campaign
from engine.delivery.outbound import Outbound, open_outbounds
from engine.delivery.pacing.budgets import describe_deadline
from engine.delivery.pacing.forecast import Opening, forecast_sending
from engine.delivery.pacing.rate_share import find_rate
from engine.delivery.pacing.window import find_deadline, parse_window
from engine.errors import CancelledError, MailrunError, UsageError
from engine.ledger import leases, runs
from engine.ledger.journal import Outcome
from engine.ledger.runs import Run
from engine.logs import get_logger
from engine.on_demand import OnDemand
from engine.progress import step
from engine.run import control
from engine.run.destinations import find_destination, name_destination
from engine.run.frozen import FrozenRun, open_run, refuse_other_ledger
from engine.run.manifest import Manifest
from engine.run.prepare import content_check, planning, preflight
from engine.run.prepare.audience_size import refuse_wrong_size
from engine.run.prepare.changes import find_changes
from engine.run.prepare.planning import PlanRequest, StagedRun
from engine.run.prepare.rendering import RenderJob
from engine.run.prepare.routes import Route, add_quotas, check_pool_and_tenant, check_ready, check_routes
from engine.run.restored import refuse_if_ledger_is_behind
from engine.run.send import registration
from engine.run.send.context import SendContext
from engine.run.send.warmup import complete_facts_unless_stopped, read_warmup
from engine.run.send.work import Launched, SendRequest, load_frozen_campaign, read_accounts, send, until_stopped
from engine.spans import span
from engine.stopping.abandonable import run_in_daemon_thread, wait_unless_stopped

log = get_logger()

_refuse_certain_rejection = OnDemand(
    "engine.run.prepare.sender.sender_check:refuse_certain_rejection"
)  # real mail alone

Confirm = Callable[["Forecast"], Awaitable[bool]]


class Forecast(Struct, frozen=True):
    """What a launch is about to send, for the person who confirms it.

    Attributes:
        run: its name.
        recipients: how many.
        rate: recipients a second at most.
        left_24_hours: recipients left in the 24-hour quota; None is unlimited.
        endpoint: the destination of messages.
        text: the forecast in one sentence.
        region: of AWS; empty where messages do not go to SES.
        sender: as in From.
        subject: the first recipient's; the template where there is none.
        rows_read: rows of the audience.
        excluded: reason -> rows.
        failing: recipients that will certainly fail, according to the plan.
        find_account: looks up the number of the AWS account; empty where there is none.
    """

    run: str
    recipients: int
    rate: float
    left_24_hours: float | None
    endpoint: str
    text: str
    region: str
    sender: str
    subject: str
    rows_read: int
    excluded: Mapping[str, int]
    failing: int
    find_account: Callable[[], Awaitable[str]]


class LaunchRequest(SendRequest, frozen=True, kw_only=True):
    """What to launch, and how.

    Attributes:
        plan: campaign, key, workspace, limit, sandbox.
        confirm: called once, before a new run is frozen; False cancels the launch.
        asks_person: `confirm` asks a person, who may send even if many recipients will fail according to the plan.
        approve: open the gate of the run's canary by hand.
    """

    plan: PlanRequest
    confirm: Confirm
    asks_person: bool = False
    approve: bool = False


async def launch(request: LaunchRequest) -> Launched:
    """Send a run until it is finished or must stop.

    Raises:
        PausedError: a second signal stopped it at once.
        MailrunError: nothing was sent, or ledger or store failed while sending.
    """
    return await until_stopped(request, partial(_launch, request))


async def _launch(request: LaunchRequest, context: SendContext) -> Launched:
    known = _find_run(request, context)
    if request.approve:
        known = _approve(request, context, known)
    if known is not None and (known.state in runs.OVER or known.paused_by == runs.GUARD):
        _refuse_if_in_doubt_was_settled(context, known)
        return Launched(read_accounts(context, known.name), sent_now=False)
    if known is None:
        _refuse_second_run(request, context)
        registration.clear_place(request.plan.name, context.store, context.ledger, context.clock.now())
        campaign, frozen = request.plan.campaign, None
    else:
        refuse_other_ledger(known.name, context.store, context.ledger)
        frozen = open_run(known, context.store)
        campaign = load_frozen_campaign(frozen)
    _refuse_if_late(campaign, request.plan.created_at if frozen is None else frozen.manifest.created_at, context)
    async with open_outbounds(campaign.spec, context.settings, request.endpoint, request.plan.name) as outbounds:
        checked = check_routes(outbounds, campaign.spec.sender_address)
        with step("checking the account"):
            routes = await wait_unless_stopped(checked, context.stop, doing="the account was checked")
            if request.endpoint is None:  # the embedded sandbox has no pools, and all tenants exist
                ways = check_ready(routes, check_pool_and_tenant)
                routes = await wait_unless_stopped(ways, context.stop, doing="pool and tenant were checked")
        if frozen is None:
            frozen, routes = await _plan_and_freeze(request, context, routes)
        else:
            _resume(request, frozen, campaign)
        refuse_if_ledger_is_behind(context.ledger, frozen.run, context.store)
        if not context.stop.requested:
            await send(context, request, frozen, routes)
    return Launched(read_accounts(context, request.plan.name), sent_now=True)


def _refuse_if_in_doubt_was_settled(context: SendContext, run: Run) -> None:
    """Check, for a run with messages in doubt, that the ledger was not restored to a time before they were settled."""
    with context.ledger.read() as tx:
        in_doubt = leases.sum_settled(tx, run.name)[Outcome.IN_DOUBT]
    if in_doubt:
        refuse_if_ledger_is_behind(context.ledger, run, context.store)


def _approve(request: LaunchRequest, context: SendContext, known: Run | None) -> Run:
    """Open the gate by hand.

    Raises:
        UsageError: there is no gate to open.
    """
    if known is None:
        what, remedy = f"there is no run {request.plan.name}: nothing to approve", "launch it without --approve"
        raise UsageError(what, where="--approve", remedy=remedy)
    campaign = load_frozen_campaign(open_run(known, context.store))
    if campaign.spec.canary is None and known.paused_by != runs.GUARD:
        what = f"the run {known.name} has no [canary], and the guard has not paused it: nothing to approve"
        raise UsageError(what, where="--approve", remedy="launch it without --approve")
    return control.approve(context.ledger, known.name, clock=context.clock)


def _find_run(request: LaunchRequest, context: SendContext) -> Run | None:
    with context.ledger.read() as tx:
        known = runs.find_run(tx, request.plan.name)
    if known is not None and known.sandbox != request.plan.sandbox:
        there = find_destination(known, context.store)
        here = name_destination(request.plan.campaign.spec.delivery.transport, sandbox=request.plan.sandbox)
        raise UsageError(
            f"the run {known.name} belongs to {there}, and this launch goes to {here}",
            where="--key",
            remedy="give this launch another --key",
        )
    return known


def _refuse_second_run(request: LaunchRequest, context: SendContext) -> None:
    """Refuse to begin a run under a default key, made from the time, while an earlier run is unfinished.

    A pod that restarts after midnight must resume its run, and not begin the next day's run.

    Raises:
        UsageError: naming the unfinished run.
    """
    if request.plan.is_key_given:
        return
    with context.ledger.read() as tx:
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


async def _plan_and_freeze(
    request: LaunchRequest, context: SendContext, routes: Sequence[Route]
) -> tuple[FrozenRun, Sequence[Route]]:
    """Plan a new run; it is registered only when the account may send it and the launch is confirmed."""
    prepare_envelope(request.plan.campaign)
    with context.store.stage(request.plan.name) as staging:
        work = run_in_daemon_thread(lambda: planning.stage_run(request.plan, staging), name="planning")
        with span("plan"):
            staged = await wait_unless_stopped(work, context.stop, doing="the audience was planned")
        refuse_wrong_size(request.plan, staged.manifest)
        checked = run_in_daemon_thread(lambda: _check_content(request, staged), name="checking")
        with step("checking the content"):
            content = await wait_unless_stopped(checked, context.stop, doing="the content was checked")
        routes = await check_ready(routes, partial(_check_recipients, staged.folder / "plan"))
        await _check_sender(request, context, routes, staged.manifest.accepted)
        for note in staged.manifest.notes:
            log.warning("plan.note", note=note)
        if request.plan.campaign.spec.warmup is not None:
            await complete_facts_unless_stopped(context.ledger, context.store, context.stop)
        forecast = _make_forecast(context, routes, staged.manifest, content)
        if not await wait_unless_stopped(request.confirm(forecast), context.stop, doing="waiting for an answer"):
            raise CancelledError
        with step("freezing the run"):
            return registration.register_run(staged, context.store, context.ledger), routes


async def _check_recipients(plan: Path, outbound: Outbound, quota: AccountQuota) -> None:
    if outbound.client is not None:
        await preflight.check_recipients(outbound.client, quota, plan)


async def _check_sender(request: LaunchRequest, context: SendContext, routes: Sequence[Route], recipients: int) -> None:
    """Refuse mail that is certainly rejected; nothing is imported or asked where it goes to a server of this machine.

    Raises:
        ServiceError: SES or every receiver rejects it.
    """
    ready = [route.outbound for route in routes if route.quota is not None and route.outbound.client is not None]
    reaching = [one for one in ready if preflight.reaches_receivers(one, request.endpoint, context.settings)]
    if not reaching:
        return
    with step("checking the sender's domain"):
        checked = _refuse_certain_rejection(reaching, recipients=recipients, settings=context.settings)
        await wait_unless_stopped(checked, context.stop, doing="the sender's domain was checked")


class _CheckedContent(Struct, frozen=True):
    """The result of the content check: the subject, and how many recipients will fail."""

    subject: str
    failing: int


def _check_content(request: LaunchRequest, staged: StagedRun) -> _CheckedContent:
    """Stop at errors of the content; report its warnings.

    Raises:
        DataError: the content must not be sent, or too many recipients would fail and nobody confirms the launch.
    """
    campaign, manifest = request.plan.campaign, staged.manifest
    job = RenderJob(
        folder=staged.folder,
        source=campaign.folder,
        name=campaign.name,
        run_key=request.plan.key,
        columns=manifest.columns,
        keys=request.workspace.read_signing_keys() if campaign.spec.signs_links else (),
    )
    findings = content_check.check_templates(campaign, staged.folder, manifest, manifest.columns)
    sample = content_check.check_sample(job, manifest)
    findings.merge(sample.findings)
    content_check.refuse_errors(
        sample, max_failure_rate=campaign.spec.guard.max_failure_rate, where=str(campaign.folder)
    )
    for finding in [*findings.of(Severity.ERROR), *findings.of(Severity.WARNING)]:
        details = {"messages": findings.counts[finding], "first_row": findings.rows.get(finding)}
        log.warning("content.finding", what=finding.what, where=finding.where, do=finding.remedy, **details)
    known = content_check.find_expected_failures(findings)
    if not request.asks_person:
        content_check.refuse_expected_failures(
            known,
            manifest.accepted,
            max_failure_rate=campaign.spec.guard.max_failure_rate,
            where=str(campaign.folder),
        )
    return _CheckedContent(sample.subject or campaign.spec.subject, known.recipients)


def _make_forecast(
    context: SendContext,
    routes: Sequence[Route],
    manifest: Manifest,
    content: _CheckedContent,
) -> Forecast:
    outbound, quota = routes[0].outbound, add_quotas([route.quota for route in routes if route.quota is not None])
    delivery = outbound.spec.delivery
    rate = find_rate(quota.max_send_rate, delivery)
    now, window = context.clock.now(), outbound.spec.window
    hours = None if window.column else parse_window(window.opens, window.closes)
    warmup_left = None
    if outbound.spec.warmup is not None:
        with context.ledger.read() as tx:
            warmup_left = read_warmup(tx, outbound.spec, now, run=manifest.run).left
    text = forecast_sending(
        recipients=manifest.accepted,
        rate=rate,
        left_24_hours=quota.left_24_hours,
        waits=delivery.at_quota == "wait",
        now=now.astimezone(),
        warmup_left=warmup_left,
        opening=Opening(hours, window.zone, window.outside == "pause"),
    )
    log.info("run.forecast", run=manifest.run, rate=rate, note=text)
    return Forecast(
        run=manifest.run,
        recipients=manifest.accepted,
        rate=rate,
        left_24_hours=quota.left_24_hours,
        endpoint=", ".join(dict.fromkeys(route.outbound.endpoint for route in routes)),
        text=text,
        region=", ".join(
            route.outbound.client.meta.region_name for route in routes if route.outbound.client is not None
        ),
        sender=outbound.spec.sender,
        subject=content.subject,
        rows_read=manifest.rows_read,
        excluded=manifest.excluded,
        failing=content.failing,
        find_account=partial(_find_account, outbound.client),
    )


async def _find_account(client: Any) -> str:
    """Look up the account's number; a failure does not stop a launch."""
    if client is None:
        return ""
    try:
        return await find_account_id(client)
    except MailrunError as error:
        return f"unknown ({error.what})"


def _refuse_if_late(campaign: Campaign, planned_at: datetime, context: SendContext) -> None:
    """Refuse a launch after its deadline, such as a cron job's on a machine that was down."""
    window = campaign.spec.window
    now = context.clock.now()
    deadline = find_deadline(campaign.spec, planned_at=planned_at, now=now)
    if deadline is not None and now >= deadline:
        raise UsageError(
            f"this launch comes too late: {describe_deadline(deadline, window.zone)}",
            where=f"{campaign.folder / 'campaign.toml'}, [window] not_after",
            remedy="nothing was sent; launch in time, or change not_after and launch under a new --key",
        )


def _resume(request: LaunchRequest, frozen: FrozenRun, campaign: Campaign) -> None:
    """Resume a run: send what was frozen, and report changes since then."""
    name, requested, transport = frozen.run.name, request.plan.transport, campaign.spec.delivery.transport
    if requested not in (None, transport):
        raise UsageError(
            f"the run {name} uses the transport {transport}, and this launch uses {requested}",
            where="--transport",
            remedy="give this launch another --key",
        )
    if changes := find_changes(frozen.manifest, request.plan.workspace, campaign=request.plan.campaign.folder):
        differences = "; ".join(changes)
        note = f"This run sends the campaign as launched. Changed since: {differences}."
        note += " To send the change, use another --key."
        log.warning("sources.changed", run=name, note=note)
    if request.plan.limit not in (None, frozen.manifest.limit) or request.plan.is_audience_given:
        log.warning("options.ignored", run=name, note="the plan is frozen: --audience and --limit change nothing")
