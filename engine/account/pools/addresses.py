"""Dedicated IP addresses and pools as values, and which configuration sets send from which pool. Pure.

A configuration set without a pool sends from the dedicated addresses that are in no pool of yours, which SES calls
ses-default-dedicated-pool, and from the shared addresses where there are none:
https://docs.aws.amazon.com/ses/latest/dg/managing-ip-pools.html
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from msgspec import Struct

DEFAULT_POOL = "ses-default-dedicated-pool"
SHARED_POOL = "ses-shared-pool"
MANAGED = "MANAGED"  # the scaling mode of a pool whose addresses SES chooses, scales and warms up
WARMING = "IN_PROGRESS"


class PoolKind(StrEnum):
    """What a pool consists of."""

    SHARED = "shared"
    STANDARD = "standard"
    MANAGED = "managed"
    MISSING = "missing"  # a configuration set names it, and it does not exist


class DedicatedAddress(Struct, frozen=True):
    """A dedicated IP address.

    Attributes:
        address: IPv4.
        status: of its warm-up: IN_PROGRESS, DONE or NOT_APPLICABLE.
        percentage: how far it is warmed up, 0 to 100; -1 where SES does not say, in managed pools.
        own: it is of a range that you brought to SES (BYOIP), according to the settings.
    """

    address: str
    status: str
    percentage: int
    own: bool = False

    @property
    def is_warming(self) -> bool:
        """Whether SES is still increasing what the address may send."""
        return self.status == WARMING and 0 <= self.percentage < 100


class AddressPool(Struct, frozen=True):
    """A pool of IP addresses.

    Attributes:
        name: as in a configuration set's SendingPoolName.
        kind: shared, standard, managed or missing.
        addresses: in order; empty where SES does not list them, in the shared pool and in managed ones.
        configuration_sets: that send from it, in order.
    """

    name: str
    kind: PoolKind
    addresses: tuple[DedicatedAddress, ...] = ()
    configuration_sets: tuple[str, ...] = ()


def read_address(found: Mapping[str, Any], own_ranges: Iterable[IPv4Network] = ()) -> DedicatedAddress:
    """Read an address as GetDedicatedIps shows it.

    Args:
        found: the document.
        own_ranges: the ranges that you brought to SES.
    """
    address = str(found["Ip"])
    own = any(IPv4Address(address) in network for network in own_ranges)
    return DedicatedAddress(address, found.get("WarmupStatus", ""), int(found.get("WarmupPercentage", -1)), own)


def make_pools(
    modes: Mapping[str, str],
    found: Sequence[Mapping[str, Any]],
    sets: Mapping[str, str | None],
    own_ranges: Sequence[IPv4Network] = (),
) -> tuple[AddressPool, ...]:
    """Put addresses and configuration sets into their pools.

    Args:
        modes: pool -> STANDARD or MANAGED.
        found: addresses as GetDedicatedIps shows them.
        sets: configuration set -> the pool that it names; None for none.
        own_ranges: the ranges that you brought to SES.

    Returns:
        The shared pool, then the default pool where it has addresses or is named, then the others by name.
    """
    addresses: dict[str, list[DedicatedAddress]] = {}
    for one in found:
        addresses.setdefault(one.get("PoolName") or DEFAULT_POOL, []).append(read_address(one, own_ranges))
    users: dict[str, list[str]] = {}
    for name, pool in sorted(sets.items()):
        users.setdefault(find_pool(pool, default_has_addresses=DEFAULT_POOL in addresses), []).append(name)
    has_default = DEFAULT_POOL in {*modes, *addresses, *users}
    names = [
        SHARED_POOL,
        *([DEFAULT_POOL] if has_default else []),
        *sorted({*modes, *users} - {SHARED_POOL, DEFAULT_POOL}),
    ]
    return tuple(
        AddressPool(
            name,
            _find_kind(name, modes.get(name)),
            tuple(sorted(addresses.get(name, ()), key=lambda one: IPv4Address(one.address))),
            tuple(users.get(name, ())),
        )
        for name in names
    )


def find_pool(named: str | None, *, default_has_addresses: bool) -> str:
    """Return the pool that a configuration set sends from.

    Args:
        named: its SendingPoolName; None for none.
        default_has_addresses: whether there are dedicated addresses that are in no pool of yours.

    >>> find_pool(None, default_has_addresses=False)
    'ses-shared-pool'
    """
    return named or (DEFAULT_POOL if default_has_addresses else SHARED_POOL)


def _find_kind(name: str, mode: str | None) -> PoolKind:
    if name == SHARED_POOL:
        return PoolKind.SHARED
    if mode is None and name != DEFAULT_POOL:
        return PoolKind.MISSING
    return PoolKind.MANAGED if mode == MANAGED else PoolKind.STANDARD
