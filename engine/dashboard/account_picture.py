"""What AWS says of the account, part by part: the limits and identities, the pools, the reputation.

One client reads all of it, one part after another: most operations of SES are limited to one call a second for the
whole account, and workers that send need them, too.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from ipaddress import IPv4Network
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.account.overview import AccountOverview, IdentityState, read_overview
from engine.account.pools.addresses import PoolKind
from engine.account.pools.overview import PoolOverview, read_pools
from engine.account.reputation.picture import read_reputation
from engine.account.services import AwsServices, open_services
from engine.errors import ConfigurationError, MailrunError
from engine.report.dmarc_figures import summarize_dmarc
from engine.report.own_figures import read_own_figures
from engine.report.reputation_page import ReputationReport
from engine.store.dmarc_reports import read_dmarc_reports
from engine.workspace import Workspace

DAYS = 30  # of the reputation


class AccountPart(Struct, frozen=True):
    """One part: its value, or why it could not be read; both None while it was not read yet."""

    value: Any = None
    problem: MailrunError | None = None

    @property
    def is_read(self) -> bool:
        """Whether it was tried."""
        return self.value is not None or self.problem is not None


class AccountPicture(Struct, frozen=True):
    """All parts.

    Attributes:
        overview: an `AccountOverview`.
        pools: a `PoolOverview`.
        reputation: a `ReputationReport`.
    """

    overview: AccountPart = AccountPart()
    pools: AccountPart = AccountPart()
    reputation: AccountPart = AccountPart()


def read_picture(workspace: Workspace, publish: Callable[[AccountPicture], None]) -> AccountPicture:
    """Read all parts; what cannot be read does not keep the others from being read.

    Args:
        workspace: whose runs and DMARC reports belong to the reputation.
        publish: is called after each part.

    Raises:
        MailrunError: there are no credentials or no region.
    """
    return asyncio.run(_read(workspace, publish))


async def _read(workspace: Workspace, publish: Callable[[AccountPicture], None]) -> AccountPicture:
    picture = AccountPicture()
    async with open_services() as services:
        overview = await _try(_read_overview(services))
        if isinstance(overview.problem, ConfigurationError):  # no region or no credentials: the same for all parts
            raise overview.problem
        picture = replace(picture, overview=overview)
        publish(picture)
        ranges = tuple(map(IPv4Network, workspace.settings.ses.own_addresses))
        picture = replace(picture, pools=await _try(_read_pools(services, ranges)))
        publish(picture)
        return replace(picture, reputation=await _try(_read_reputation(services, workspace)))


async def _try(work: Awaitable[Any]) -> AccountPart:
    try:
        return AccountPart(await work)
    except MailrunError as error:
        return AccountPart(problem=error)


async def _read_overview(services: AwsServices) -> AccountOverview:
    return await read_overview(services, lambda *_: None)


async def _read_pools(services: AwsServices, ranges: tuple[IPv4Network, ...]) -> PoolOverview:
    return await read_pools(services, ranges)


async def _read_reputation(services: AwsServices, workspace: Workspace) -> ReputationReport:
    ses = await read_reputation(services, days=DAYS, clock=workspace.clock)
    since = ses.at - timedelta(days=DAYS)
    try:
        own = read_own_figures(workspace.ledger, since)
        dmarc = summarize_dmarc(read_dmarc_reports(workspace.store, since.date()))
    except MailrunError as error:
        return ReputationReport(ses, None, f"{error.what}; {error.remedy}")
    return ReputationReport(ses, own, dmarc=dmarc)


def list_pool_warnings(pools: PoolOverview) -> list[str]:
    """List pools that configuration sets name and that cannot send."""
    used = [pool for pool in pools.pools if pool.configuration_sets]
    missing = [
        f"Configuration sets name the pool {p.name}, which does not exist." for p in used if p.kind == PoolKind.MISSING
    ]
    empty = [
        f"Configuration sets send from {pool.name}, which has no address."
        for pool in used
        if pool.kind == PoolKind.STANDARD and not pool.addresses
    ]
    return [*missing, *empty]


def is_ready(identity: IdentityState) -> bool:
    """Return whether an identity may be sent from, with DKIM and MAIL FROM in order as far as they are known."""
    details = identity.details
    return identity.sends and (
        details is None or (details.dkim == "SUCCESS" and details.mail_from_status in ("", "SUCCESS"))
    )
