"""Reads all pools of the account, their addresses, and the configuration sets that send from them."""

from collections.abc import Sequence
from ipaddress import IPv4Network

from msgspec import Struct

from engine.account.overview import list_pages
from engine.account.pools.addresses import AddressPool, make_pools
from engine.account.reply_codes import is_not_found
from engine.account.services import AwsServices, PacedClient
from engine.errors import ServiceError
from engine.progress import step


class PoolOverview(Struct, frozen=True):
    """The pools of an account.

    Attributes:
        region: of the account.
        auto_warmup: whether SES warms up new dedicated addresses by itself.
        sets_read: whether the configuration sets were read.
        pools: the shared one first.
    """

    region: str
    auto_warmup: bool
    sets_read: bool
    pools: tuple[AddressPool, ...]


async def read_pools(
    services: AwsServices, own_ranges: Sequence[IPv4Network] = (), *, with_sets: bool = True
) -> PoolOverview:
    """Read them: a call for each pool and, at one a second, for each configuration set.

    Args:
        services: of the account.
        own_ranges: the ranges of IP addresses that you brought to SES.
        with_sets: read the configuration sets, too.

    Raises:
        ServiceError: SES cannot be reached, or refuses.
        ConfigurationError: there are no credentials or no region.
    """
    client = await services.open("sesv2")
    account = await client.get_account()
    names = await list_pages(client, "list_dedicated_ip_pools", "DedicatedIpPools")
    modes = {}
    with step("reading pools", "pools", len(names)) as progress:
        for name in names:
            modes[name] = await read_mode(client, name)
            progress.advance()
    found = await list_pages(client, "get_dedicated_ips", "DedicatedIps")
    sets = await read_sending_pools(client) if with_sets else {}
    return PoolOverview(
        region=client.meta.region_name,
        auto_warmup=bool(account.get("DedicatedIpAutoWarmupEnabled")),
        sets_read=with_sets,
        pools=make_pools({name: mode for name, mode in modes.items() if mode}, found, sets, own_ranges),
    )


async def read_mode(client: PacedClient, pool: str) -> str | None:
    """Read whether a pool is STANDARD or MANAGED; None where it does not exist."""
    try:
        found = await client.get_dedicated_ip_pool(PoolName=pool)
    except ServiceError as error:
        if is_not_found(error):
            return None
        raise
    return str(found["DedicatedIpPool"]["ScalingMode"])


async def read_sending_pools(client: PacedClient) -> dict[str, str | None]:
    """Read which pool each configuration set names: set -> pool, None for none; one call a second."""
    names = await list_pages(client, "list_configuration_sets", "ConfigurationSets")
    pools: dict[str, str | None] = {}
    with step("reading configuration sets", "sets", len(names)) as progress:
        for name in names:
            try:
                found = await client.get_configuration_set(ConfigurationSetName=name)
            except ServiceError as error:
                if not is_not_found(error):  # deleted meanwhile
                    raise
            else:
                pools[name] = found.get("DeliveryOptions", {}).get("SendingPoolName")
            progress.advance()
    return pools
