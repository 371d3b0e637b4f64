"""Which accounts a run can be sent through now: the only one, or one in each region of the campaign."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import botocore.exceptions
from msgspec import Struct

from engine.account.client import translate_aws_errors
from engine.account.quota import AccountQuota, refuse_if_stopped
from engine.account.reply_codes import is_not_found, lacks_permission
from engine.account.unknown_operation import is_unknown_operation
from engine.delivery.outbound import Outbound
from engine.errors import MailrunError, ServiceError
from engine.logs import get_logger
from engine.on_demand import OnDemand
from engine.run.prepare.preflight import check_account_or_wait, check_sender

log = get_logger()

_check_pool = OnDemand("engine.run.prepare.pool_check:check_pool_and_note")  # few campaigns name a pool
_check_reach = OnDemand("engine.run.prepare.reach_check:check_reach")  # few campaigns need it

_SERVER_ERROR = 500
_THROTTLED = 429


class Route(Struct, frozen=True):
    """An account that a run is sent through.

    Attributes:
        outbound: the account.
        quota: its limits; None while it cannot be used.
        problem: why it cannot be used now; empty where it can.
    """

    outbound: Outbound
    quota: AccountQuota | None
    problem: str = ""


async def check_routes(outbounds: Sequence[Outbound], sender_address: str) -> Sequence[Route]:
    """Check the account that a run is sent through, or the accounts in its regions.

    A region that is unreachable, or whose account is paused, is reported and left out while another is ready.

    Args:
        outbounds: as open_outbounds opens them.
        sender_address: the bare address of `from`.

    Returns:
        A route for each, in the same order; at least one is ready.

    Raises:
        MailrunError: no account can be sent through; or one never can, because it has no such sender or configuration
            set, or refuses the credentials.
    """
    if len(outbounds) == 1:
        return [Route(outbounds[0], await check_account_or_wait(outbounds[0], sender_address))]
    routes = await asyncio.gather(*(check_region(outbound, sender_address) for outbound in outbounds))
    return _leave_out((), routes)


def _leave_out(known: Sequence[Route], routes: Sequence[Route]) -> Sequence[Route]:
    """Report the regions that are left out and were not in `known`; return all.

    Raises:
        ServiceError: no region is left.
    """
    if all(route.quota is None for route in routes):
        raise ServiceError(
            f"no region can be sent through: {'; '.join(route.problem for route in routes)}",
            where="campaign.toml: [delivery] regions",
            remedy="fix the cause in one of them, then launch again",
        )
    for route in routes:
        if route.quota is None and not any(route is one for one in known):
            note = f"{route.problem}; the other regions send, and it joins them as soon as it can"
            log.warning("region.left_out", region=route.outbound.region, note=note)
    return routes


async def check_region(outbound: Outbound, sender_address: str) -> Route:
    """Check one of several regions.

    Raises:
        MailrunError: it can never be sent through as it is set up; the text names it.
    """
    region = outbound.region
    try:
        quota = await outbound.read_quota()
    except MailrunError as error:
        if not is_outage(error):
            raise name_region(error, region) from error
        return Route(outbound, None, f"{region}: {error.what}")
    try:
        refuse_if_stopped(quota)
    except ServiceError as error:
        return Route(outbound, None, f"{region}: {error.what}")
    try:
        await check_sender(outbound, sender_address)
        await _check_configuration_set(outbound)
    except MailrunError as error:
        if not is_outage(error):
            raise name_region(error, region) from error
        return Route(outbound, None, f"{region}: {error.what}")
    return Route(outbound, quota)


async def check_ready(
    routes: Sequence[Route], check: Callable[[Outbound, AccountQuota], Awaitable[None]]
) -> Sequence[Route]:
    """Check each account that is ready, all regions at once.

    Args:
        routes: of check_routes.
        check: what to check; raises a MailrunError where it does not pass.

    Returns:
        The routes; a region that has become unreachable meanwhile is left out, while another is ready.

    Raises:
        MailrunError: a check did not pass, and the text names the region; or no region is left.
    """

    async def check_one(route: Route) -> Route:
        if route.quota is None:
            return route
        region = route.outbound.region
        try:
            with naming_region(region):
                await check(route.outbound, route.quota)
        except MailrunError as error:
            if len(routes) == 1 or error.__cause__ is None or not is_outage(error.__cause__):
                raise
            return Route(route.outbound, None, error.what)
        return route

    return _leave_out(routes, await asyncio.gather(*map(check_one, routes)))


async def check_pool_and_tenant(outbound: Outbound, _: AccountQuota) -> None:
    """Check the pool, the multi-region endpoint and the tenant of an account, where the campaign names them.

    Raises:
        MailrunError: one of them cannot be used, or is not the one that mail leaves from.
    """
    delivery = outbound.spec.delivery
    if delivery.pool is not None:
        await _check_pool(outbound)
    if delivery.has_reach:
        await _check_reach(outbound)


async def _check_configuration_set(outbound: Outbound) -> None:
    """Check that the region has the campaign's configuration set.

    Raises:
        ServiceError: it has not, or cannot be reached.
    """
    name = outbound.spec.delivery.configuration_set
    if name is None:
        return
    try:
        with translate_aws_errors("SES"):
            await outbound.client.get_configuration_set(ConfigurationSetName=name)
    except ServiceError as error:
        if is_not_found(error):
            raise ServiceError(
                f"there is no configuration set {name}",
                where="campaign.toml: [delivery] configuration_set",
                remedy="create it in this region, or remove the region from regions",
            ) from error
        # Reading it may not be permitted, or not known to a server other than SES, while sending is.
        if not (lacks_permission(error) or is_unknown_operation(error, outbound.client)):
            raise


def is_outage(error: BaseException) -> bool:
    """Return whether an error may pass by itself: no connection, or an answer that SES is not available now."""
    cause = error.__cause__
    if isinstance(cause, botocore.exceptions.ClientError):
        status = int(cause.response["ResponseMetadata"].get("HTTPStatusCode", 0))
        return status >= _SERVER_ERROR or status == _THROTTLED
    return isinstance(cause, botocore.exceptions.HTTPClientError | botocore.exceptions.ConnectionError)


def name_region(error: MailrunError, region: str) -> MailrunError:
    """Return an error with the region in which it happened."""
    return type(error)(f"{region}: {error.what}", where=error.where, remedy=error.remedy)


@contextmanager
def naming_region(region: str) -> Iterator[None]:
    """Let errors name a region; those of a campaign that names none stay as they are."""
    try:
        yield
    except MailrunError as error:
        if not region:
            raise
        raise name_region(error, region) from error


def add_quotas(quotas: Sequence[AccountQuota]) -> AccountQuota:
    """Add the limits of several accounts up, for a forecast; the others are those of the first.

    Args:
        quotas: at least one.
    """
    if len(quotas) == 1:
        return quotas[0]
    most = [quota.max_24_hours for quota in quotas]
    bounded = [each for each in most if each is not None]
    # What one account has sent too much does not lessen what another may still send.
    used = sum(min(quota.sent_24_hours, quota.max_24_hours or quota.sent_24_hours) for quota in quotas)
    return AccountQuota(
        max_send_rate=sum(quota.max_send_rate for quota in quotas),
        max_24_hours=sum(bounded) if len(bounded) == len(most) else None,
        sent_24_hours=used,
        production=all(quota.production for quota in quotas),
        sending_enabled=True,
        enforcement=quotas[0].enforcement,
    )
