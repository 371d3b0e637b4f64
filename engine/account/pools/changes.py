"""Changes pools and addresses. What SES would refuse, or what cannot be undone, is found before it is asked for."""

from msgspec import Struct

from engine.account.overview import list_pages
from engine.account.pools.addresses import DEFAULT_POOL, MANAGED, SHARED_POOL, find_pool
from engine.account.pools.overview import read_mode, read_sending_pools
from engine.account.reply_codes import is_not_found
from engine.account.services import AwsServices, PacedClient
from engine.errors import ServiceError, UsageError

LIST = "mailrun ses pools lists them"


class PoolMove(Struct, frozen=True):
    """An address on its way into another pool.

    Attributes:
        address: the address.
        source: the pool that it is in.
        destination: the pool that it goes to.
        stranded: configuration sets whose pool has no address after the move.
    """

    address: str
    source: str
    destination: str
    stranded: tuple[str, ...] = ()


class PoolCreation(Struct, frozen=True):
    """A pool to be made.

    Attributes:
        name: of the pool.
        managed: whether SES shall choose and warm up its addresses.
        mode: that the pool has now; None where it does not exist.
    """

    name: str
    managed: bool
    mode: str | None

    @property
    def is_kept(self) -> bool:
        """Whether nothing is to be done."""
        return self.mode is not None and (self.mode == MANAGED) == self.managed


async def find_creation(services: AwsServices, name: str, *, managed: bool) -> PoolCreation:
    """Find what it takes to have a pool.

    Args:
        services: of the account.
        name: of the pool.
        managed: the wanted kind; otherwise standard.

    Raises:
        UsageError: the name is SES's own, or the pool is managed and shall be standard, which SES does not do.
        ServiceError: SES cannot be reached, or refuses.
    """
    if name in (DEFAULT_POOL, SHARED_POOL):
        raise UsageError(f"{name} is a pool of SES itself", where="NAME", remedy="choose another name")
    mode = await read_mode(await services.open("sesv2"), name)
    if mode == MANAGED and not managed:
        raise UsageError(
            f"the pool {name} is managed, and SES cannot make a managed pool standard: nothing was changed",
            where="NAME",
            remedy="create a standard pool under another name, and give your configuration sets that pool",
        )
    return PoolCreation(name, managed, mode)


async def create_pool(services: AwsServices, creation: PoolCreation) -> None:
    """Create a pool, or make a standard one managed; does nothing where the pool is as wanted.

    Raises:
        ServiceError: SES refuses.
    """
    client = await services.open("sesv2")
    scaling = MANAGED if creation.managed else "STANDARD"
    if creation.mode is None:
        await client.create_dedicated_ip_pool(PoolName=creation.name, ScalingMode=scaling)
    elif not creation.is_kept:
        await client.put_dedicated_ip_pool_scaling_attributes(PoolName=creation.name, ScalingMode=scaling)


async def find_move(services: AwsServices, address: str, pool: str) -> PoolMove:
    """Find what a move of an address means; reads every configuration set where a pool loses its last address.

    Args:
        services: of the account.
        address: IPv4.
        pool: to move it into.

    Raises:
        UsageError: the account does not have the address, or the pool does not exist or does not take addresses.
        ServiceError: SES cannot be reached, or refuses.
    """
    client = await services.open("sesv2")
    source = await _find_pool_of(client, address)
    await _refuse_destination(client, pool)
    if source == pool:
        return PoolMove(address, source, pool)
    others = await list_pages(client, "get_dedicated_ips", "DedicatedIps", PoolName=source)
    if any(one["Ip"] != address for one in others):
        return PoolMove(address, source, pool)
    sets = await read_sending_pools(client)
    users = (name for name, named in sets.items() if find_pool(named, default_has_addresses=True) == source)
    return PoolMove(address, source, pool, tuple(sorted(users)))


async def move_address(services: AwsServices, move: PoolMove) -> None:
    """Move an address; does nothing where it is already there.

    Raises:
        ServiceError: SES refuses.
    """
    if move.source != move.destination:
        client = await services.open("sesv2")
        await client.put_dedicated_ip_in_pool(Ip=move.address, DestinationPoolName=move.destination)


async def set_warmup(services: AwsServices, address: str, percentage: int) -> None:
    """Set how far an address is warmed up.

    Args:
        services: of the account.
        address: IPv4.
        percentage: 0 to 100; 100 ends the warm-up.

    Raises:
        UsageError: the account does not have the address.
        ServiceError: SES cannot be reached, or refuses.
    """
    client = await services.open("sesv2")
    await _find_pool_of(client, address)
    await client.put_dedicated_ip_warmup_attributes(Ip=address, WarmupPercentage=percentage)


async def set_auto_warmup(services: AwsServices, *, enabled: bool) -> None:
    """Switch automatic warm-up of new addresses on or off, for the account in its region.

    Raises:
        ServiceError: SES cannot be reached, or refuses.
    """
    client = await services.open("sesv2")
    await client.put_account_dedicated_ip_warmup_attributes(AutoWarmupEnabled=enabled)


async def _find_pool_of(client: PacedClient, address: str) -> str:
    try:
        found = await client.get_dedicated_ip(Ip=address)
    except ServiceError as error:
        if not is_not_found(error):
            raise
        raise UsageError(
            f"the account has no dedicated IP address {address} in {client.meta.region_name}",
            where="ADDRESS",
            remedy=LIST,
        ) from error
    return found["DedicatedIp"].get("PoolName") or DEFAULT_POOL


async def _refuse_destination(client: PacedClient, pool: str) -> None:
    if pool == DEFAULT_POOL:
        return
    mode = None if pool == SHARED_POOL else await read_mode(client, pool)
    if mode == "STANDARD":
        return
    if pool == SHARED_POOL:
        what, remedy = "the shared pool of SES does not take dedicated addresses", "name a standard pool"
    elif mode is None:
        what, remedy = f"there is no pool {pool}", f"create it: mailrun ses pools create {pool}; {LIST}"
    else:
        what, remedy = f"the pool {pool} is managed: SES chooses its addresses", "name a standard pool"
    raise UsageError(what, where="POOL", remedy=remedy)
