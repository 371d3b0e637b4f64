"""`mailrun ses status`."""

import asyncio
from typing import Any

import msgspec

from engine.account.overview import AccountOverview, read_overview
from engine.account.quota import refuse_if_stopped
from engine.account.services import open_services
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.errors import ExitCode, ServiceError
from engine.quantities import format_count


@with_common
def ses_status(common: Common) -> int:
    """Read the account; print it; return the exit code."""
    overview = asyncio.run(_read())
    try:
        refuse_if_stopped(overview.quota)
        problem = None
    except ServiceError as error:
        problem = error
    if common.json:
        print_json(_to_json(overview, problem))
    else:
        print_lines(*_describe(overview))
        if problem is not None:
            print_lines(f"error: {problem.what}", f"   do: {problem.remedy}")
    return ExitCode.FINISHED if problem is None else problem.exit_code


async def _read() -> AccountOverview:
    async with open_services() as services:
        return await read_overview(services)


def _to_json(overview: AccountOverview, problem: ServiceError | None) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(overview)
    error = None if problem is None else {"what": problem.what, "where": problem.where, "remedy": problem.remedy}
    return {"may_send": problem is None, "error": error, **found}


def _describe(overview: AccountOverview) -> list[str]:
    quota = overview.quota
    most = "unlimited" if quota.max_24_hours is None else f"{quota.max_24_hours:,.0f}"
    state = quota.enforcement + ("" if quota.sending_enabled else ", sending is paused")
    lines = [
        f"SES account in {overview.region}: {state}",
        *(() if quota.production else ("in the SES sandbox: it may send to verified recipients only",)),
        f"send rate {quota.max_send_rate:,g} a second; in 24 hours {quota.sent_24_hours:,.0f} of {most}",
        f"{format_count(len(overview.identities), 'identity', 'identities')}:",
    ]
    lines += [
        f"  {one.name}: {one.status}{'' if one.sends else ', cannot be sent from'}" for one in overview.identities
    ]
    sets = ", ".join(overview.configuration_sets) or "none"
    return [*lines, f"configuration sets: {sets}"]
