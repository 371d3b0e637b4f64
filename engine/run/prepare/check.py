"""`mailrun check`: checks a campaign's content against its audience, and the account."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct, field, to_builtins

from engine.account.client import Endpoint
from engine.account.pools.warmup_proposal import WarmupProposal
from engine.account.quota import AccountQuota
from engine.authentication.sender_rules import RuleRow, list_failures
from engine.campaign.lint_findings import LintFindings, Severity
from engine.delivery.outbound import Outbound, open_outbounds
from engine.errors import ExitCode, MailrunError, ServiceError
from engine.progress import step
from engine.run.manifest import Manifest
from engine.run.prepare import preflight
from engine.run.prepare.audience_size import find_size_problems
from engine.run.prepare.content_check import check_sample, check_templates
from engine.run.prepare.planning import PlanRequest
from engine.run.prepare.pool_check import check_pool, find_proposal
from engine.run.prepare.preview import make_job
from engine.run.prepare.reach_check import check_reach
from engine.run.prepare.rendered import Rendered
from engine.run.prepare.routes import add_quotas, check_region, naming_region
from engine.run.prepare.run_forecast import RunForecast, forecast_run
from engine.run.prepare.sender.sender_check import judge_sender
from engine.settings import Settings

T = TypeVar("T")


class Checked(Struct):
    """What a check found.

    Attributes:
        manifest: the plan's counts.
        folder: where the plan is.
        sample: what rendering the first recipients found.
        findings: what lint found.
        forecast: what a run would take.
        sender_rules: what Gmail, Yahoo and Microsoft make of it.
        warmup: the proposed `[warmup]`, where addresses are warming up.
        account_errors: why the account may not send this.
    """

    manifest: Manifest
    folder: Path
    sample: Rendered
    findings: LintFindings
    forecast: RunForecast | None = None
    account_errors: list[MailrunError] = field(default_factory=list)
    warmup: WarmupProposal | None = None
    sender_rules: tuple[RuleRow, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """The exit code: of content errors first, then of the account's first error, then of the sender rules."""
        if self.findings.of(Severity.ERROR) or self.sample.failures:
            return ExitCode.DATA
        if self.account_errors:
            return self.account_errors[0].exit_code
        broken = list_failures(self.sender_rules)
        if any(row.rule.is_content for row in broken):
            return ExitCode.DATA
        return ExitCode.UNAVAILABLE if broken else ExitCode.FINISHED

    def to_json(self) -> dict[str, Any]:
        """Return the keys that `check --json` adds to the accounts."""
        return {
            "passes": self.exit_code is ExitCode.FINISHED,
            "looked_at": self.sample.rendered + self.sample.failures.total(),
            "render_failures": dict(self.sample.failures.most_common()),
            "findings": self.findings.to_json(),
            "account_errors": [
                {"what": error.what, "where": error.where, "remedy": error.remedy} for error in self.account_errors
            ],
            "sender_rules": [row.to_json() for row in self.sender_rules],
            "forecast": self.forecast.to_json() if self.forecast else None,
            "proposed_warmup": None if self.warmup is None else to_builtins(self.warmup),
        }


async def check_campaign(  # noqa: PLR0913 - what a check is of, named one by one
    request: PlanRequest,
    manifest: Manifest,
    folder: Path,
    read_keys: Callable[[], tuple[bytes, ...]],
    *,
    endpoint: Endpoint | None,
    settings: Settings,
) -> Checked:
    """Check the content on a fair sample of messages, and the account, where messages go through one.

    Args:
        request: what was planned.
        manifest: of the plan.
        folder: with the plan, as `replan` leaves it.
        read_keys: reads the keys that sign the unsubscribe links, where the campaign has links of its own.
        endpoint: the embedded sandbox; None for what botocore resolves.
        settings: with the SMTP server, where one is named.

    Raises:
        DataError: the templates are so wrong that nothing can be rendered.
    """
    job = make_job(request, manifest, folder, read_keys)
    findings = check_templates(request.campaign, folder, manifest, manifest.audience_columns)
    with step("rendering a sample"):
        sample = check_sample(job, manifest)
    findings.merge(sample.findings)
    findings.extend(find_size_problems(request, manifest))
    checked = Checked(manifest, folder, sample, findings)
    await _check_account(checked, request, job.keys, endpoint, settings)
    return checked


async def _check_account(
    checked: Checked, request: PlanRequest, keys: tuple[bytes, ...], endpoint: Endpoint | None, settings: Settings
) -> None:
    spec = request.campaign.spec
    try:
        async with open_outbounds(spec, settings, endpoint, request.name) as outbounds:
            checks = [Checked(checked.manifest, checked.folder, checked.sample, checked.findings) for _ in outbounds]
            checking = (_check_one(mine, each, endpoint) for mine, each in zip(checks, outbounds, strict=True))
            quotas = await asyncio.gather(*checking)
            for mine in checks:
                checked.account_errors += mine.account_errors
                checked.warmup = checked.warmup or mine.warmup
            ready = [one for one, quota in zip(outbounds, quotas, strict=True) if quota is not None]
            judging = judge_sender(
                request.campaign,
                ready or outbounds[:1],
                findings=checked.findings,
                html_bytes=checked.sample.html_bytes_largest,
                keys=keys,
                ledger=request.ledger,
                endpoint=endpoint,
                settings=settings,
                now=request.created_at,
            )
            with step("checking the sender rules"):
                checked.sender_rules = await _keep_error(checked, judging) or ()
    except MailrunError as error:
        checked.account_errors.append(error)
        return
    if known := [quota for quota in quotas if quota is not None]:
        checked.forecast = forecast_run(checked.manifest.accepted, spec.delivery, add_quotas(known))


async def _check_one(checked: Checked, outbound: Outbound, endpoint: Endpoint | None) -> AccountQuota | None:
    """Check the account, or that of one region; return its limits, None where they are unknown."""
    sender = outbound.spec.sender_address
    if outbound.region:
        quota = await _check_region(checked, outbound)
    else:
        quota = await _keep_error(checked, preflight.check_account(outbound, sender))
        if quota is None and outbound.client is None:  # an own server: max_rate is known without the account
            quota = await outbound.read_quota()
    if quota is None or outbound.client is None:
        return quota
    region = outbound.region
    await _keep_error(checked, preflight.check_recipients(outbound.client, quota, checked.folder / "plan"), region)
    if endpoint is None:  # the embedded sandbox has no pools
        await _keep_error(checked, check_reach(outbound), region)
        known = len(checked.account_errors)
        pool = await _keep_error(checked, check_pool(outbound), region)
        if len(checked.account_errors) == known:
            checked.warmup = checked.warmup or await find_proposal(outbound, pool)
    return quota


async def _check_region(checked: Checked, outbound: Outbound) -> AccountQuota | None:
    """Check one of several regions: one that cannot be used now is an error here, and left out by a launch."""
    route = await _keep_error(checked, check_region(outbound, outbound.spec.sender_address))
    if route is None:
        return None
    if route.problem:
        remedy = "a launch leaves this region out until it can send, while another region can"
        checked.account_errors.append(ServiceError(route.problem, where=outbound.endpoint, remedy=remedy))
    return route.quota


async def _keep_error(checked: Checked, question: Awaitable[T], region: str = "") -> T | None:
    """Keep the error of a question to the account, with its region; return its answer, or None."""
    try:
        with naming_region(region):
            return await question
    except MailrunError as error:
        checked.account_errors.append(error)
        return None
