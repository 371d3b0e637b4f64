"""`mailrun ses status`."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from engine.account.overview import MOST_DETAILED, AccountOverview, IdentityState, read_overview
from engine.account.quota import refuse_if_stopped
from engine.account.services import open_services
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.suggestions import write_command
from engine.errors import ExitCode, ServiceError, escape_controls
from engine.quantities import format_count
from engine.system.streams import is_terminal


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
    def report(number: int, total: int) -> None:
        if number == 2 and is_terminal(sys.stderr):  # a single identity is read at once
            print_lines(f"reading the details of {total} identities, about one a second", err=True)

    async with open_services() as services:
        return await read_overview(services, report)


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
    lines += [escape_controls(f"  {line}") for line in _describe_identities(overview.identities)]
    sets = ", ".join(overview.configuration_sets) or "none"
    return [*lines, f"configuration sets: {sets}", *_suggest(overview)]


def _describe_identities(identities: Sequence[IdentityState]) -> Iterator[str]:
    for one in identities:
        yield f"{one.name}: {'; '.join(_list_states(one))}"
    if len(identities) > MOST_DETAILED:
        yield f"(DKIM and MAIL FROM are read of the first {MOST_DETAILED} only; `mailrun ses verify DOMAIN` reads one)"


def _list_states(identity: IdentityState) -> Iterator[str]:
    yield identity.status + ("" if identity.sends else ", cannot be sent from")
    details = identity.details
    if details is None:
        return
    yield f"DKIM {details.dkim}"
    yield f"MAIL FROM {details.mail_from} {details.mail_from_status}" if details.mail_from else "MAIL FROM of SES"
    if details.configuration_set:
        yield f"configuration set {details.configuration_set}"


def _suggest(overview: AccountOverview) -> Iterator[str]:
    """Suggest the command that brings the first domain forward which is not ready, or a first domain."""
    if not overview.identities:
        yield f"next: {write_command('ses', 'setup', 'DOMAIN')}"
    unready = [one.name for one in overview.identities if "@" not in one.name and not _is_ready(one)]
    yield from (f"next: {write_command('ses', 'verify', name)}" for name in unready[:1])


def _is_ready(identity: IdentityState) -> bool:
    details = identity.details
    return identity.sends and (
        details is None or (details.dkim == "SUCCESS" and details.mail_from_status in ("", "SUCCESS"))
    )
