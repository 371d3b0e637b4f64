"""The pool that a campaign's mail leaves from, and whether it is the one that the campaign expects."""

from typing import Any

from msgspec import Struct

from engine.account.client import translate_aws_errors
from engine.account.identities import covering_identities
from engine.account.pools.addresses import DEFAULT_POOL, MANAGED, SHARED_POOL, DedicatedAddress, find_pool, read_address
from engine.account.reply_codes import is_not_found
from engine.errors import ServiceError

KEY = "campaign.toml: [delivery] pool"
_MOST_ADDRESSES = 1000  # of a pool that are read


class SendingPool(Struct, frozen=True):
    """The pool that mail leaves from.

    Attributes:
        configuration_set: that the mail goes through; None for none.
        named: the pool that the set names; None for none.
        mode: STANDARD or MANAGED; None where the pool does not exist, and for the shared one.
        addresses: of the pool; empty where SES does not list them.
    """

    configuration_set: str | None
    named: str | None
    mode: str | None
    addresses: tuple[DedicatedAddress, ...]

    @property
    def name(self) -> str:
        """The name of the pool."""
        return find_pool(self.named, default_has_addresses=bool(self.addresses))


async def read_sending_pool(client: Any, configuration_set: str | None, sender_address: str) -> SendingPool:
    """Read it, in two to four calls.

    Args:
        client: an SES client.
        configuration_set: the campaign's; None for the default one of the sender's identity.
        sender_address: the bare address of `from`.

    Raises:
        ServiceError: the configuration set does not exist, or SES cannot be reached or refuses.
    """
    name = configuration_set or await _find_default_set(client, sender_address)
    named = None if name is None else await _read_named_pool(client, name)
    if named == SHARED_POOL:
        return SendingPool(name, named, None, ())
    mode = None if named in (None, DEFAULT_POOL) else await _read_mode(client, str(named))
    if named not in (None, DEFAULT_POOL) and mode is None:
        return SendingPool(name, named, None, ())
    return SendingPool(name, named, mode or "STANDARD", await _read_addresses(client, named or DEFAULT_POOL))


def refuse_other_pool(found: SendingPool, expected: str) -> None:
    """Check that mail leaves from the pool that the campaign expects.

    Args:
        found: the pool that it leaves from.
        expected: `[delivery] pool`.

    Raises:
        ServiceError: it is another one, it does not exist, or it has no address.
    """
    through = "without a configuration set" if found.configuration_set is None else f"set {found.configuration_set}"
    if found.name != expected:
        raise ServiceError(
            f"the campaign expects the pool {expected}, and its mail leaves from {found.name} ({through})",
            where=KEY,
            remedy=_advise_on_set(found, expected),
        )
    if found.mode is None and expected != SHARED_POOL:
        raise ServiceError(
            f"the pool {expected} does not exist ({through})",
            where=KEY,
            remedy=f"create it: mailrun ses pools create {expected}; then move addresses into it",
        )
    if found.mode not in (None, MANAGED) and not found.addresses:
        raise ServiceError(
            f"the pool {expected} has no IP address",
            where=KEY,
            remedy=f"move one into it: mailrun ses pools move ADDRESS {expected}",
        )


def _advise_on_set(found: SendingPool, expected: str) -> str:
    if found.configuration_set is None:
        return f"set [delivery] configuration_set to a set that sends from {expected}: mailrun ses pools lists them"
    return (
        f"give the set that pool, in the SES console or with mailrun ses setup --pool {expected}; or name another set"
        " or pool in campaign.toml"
    )


async def _find_default_set(client: Any, sender_address: str) -> str | None:
    """Return the default configuration set of the identity that mail is sent from: the most specific one."""
    for identity in covering_identities(sender_address):
        try:
            with translate_aws_errors("SES"):
                found = await client.get_email_identity(EmailIdentity=identity)
        except ServiceError as error:
            if not is_not_found(error):
                raise
        else:
            return found.get("ConfigurationSetName") or None
    return None


async def _read_named_pool(client: Any, configuration_set: str) -> str | None:
    try:
        with translate_aws_errors("SES"):
            found = await client.get_configuration_set(ConfigurationSetName=configuration_set)
    except ServiceError as error:
        if not is_not_found(error):
            raise
        raise ServiceError(
            f"the configuration set {configuration_set} does not exist in this account and region",
            where="campaign.toml: [delivery] configuration_set",
            remedy="create it with mailrun ses setup, or correct the name",
        ) from error
    pool = found.get("DeliveryOptions", {}).get("SendingPoolName")
    return str(pool) if pool else None


async def _read_mode(client: Any, pool: str) -> str | None:
    try:
        with translate_aws_errors("SES"):
            found = await client.get_dedicated_ip_pool(PoolName=pool)
    except ServiceError as error:
        if is_not_found(error):
            return None
        raise
    return str(found["DedicatedIpPool"]["ScalingMode"])


async def _read_addresses(client: Any, pool: str) -> tuple[DedicatedAddress, ...]:
    try:
        with translate_aws_errors("SES"):
            found = await client.get_dedicated_ips(PoolName=pool, PageSize=_MOST_ADDRESSES)
    except ServiceError as error:
        if is_not_found(error):
            return ()
        raise
    return tuple(read_address(one) for one in found.get("DedicatedIps", ()))
