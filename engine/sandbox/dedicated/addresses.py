"""The account's dedicated IP addresses and their pools.

Source: SES developer guide, "Dedicated IP addresses for Amazon SES" and "Creating and managing dedicated IP pools"; the
shapes are those of botocore's model. SES leases addresses by a support case: here they are given at the start.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from ipaddress import AddressValueError, IPv4Address
from operator import itemgetter
from typing import Any

from engine.sandbox.http.replies import ApiError, already_exists, bad_request, not_found
from engine.sandbox.ses.members import items, one_of, optional, required

DEFAULT_POOL = "ses-default-dedicated-pool"  # has the addresses that are in no other pool
SHARED_POOL = "ses-shared-pool"
SHARED_ADDRESS = "198.51.100.7"
MAX_POOLS = 50
MODES = ("STANDARD", "MANAGED")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MANAGED_ADDRESSES = 2  # of each managed pool; GetDedicatedIps does not list them


class DedicatedAddresses:
    """The dedicated IP addresses of an account and their pools.

    Args:
        addresses: IPv4, warmed up and in the default pool.
    """

    def __init__(self, addresses: Iterable[str] = ()) -> None:
        self._modes: dict[str, str] = {}  # pool -> STANDARD or MANAGED
        self._addresses: dict[str, dict[str, Any]] = {one: _new(one) for one in addresses}
        self.auto_warmup = False

    def create_pool(self, request: Mapping[str, Any]) -> None:
        """Create a pool from a CreateDedicatedIpPool request."""
        given = dict(request)
        name = required(given, "PoolName", str)
        mode = one_of(given, "ScalingMode", MODES) or "STANDARD"
        items(given, "Tags", dict)
        if _NAME.fullmatch(name) is None:
            raise bad_request(f"PoolName <{name}>: only letters, digits, - and _ are allowed, up to 64.")
        if name in self._modes or name in (DEFAULT_POOL, SHARED_POOL):
            raise already_exists(f"Dedicated IP pool <{name}> already exists.")
        if len(self._modes) >= MAX_POOLS:
            raise ApiError("LimitExceededException", f"An account has at most {MAX_POOLS} dedicated IP pools.")
        self._modes[name] = mode

    def pools(self) -> list[str]:
        """Return the names of the pools, in order; the default pool is one while it has an address."""
        default = [DEFAULT_POOL] if self._members(DEFAULT_POOL) else []
        return sorted([*self._modes, *default])

    def pool(self, name: str) -> dict[str, Any]:
        """Return the document of a pool."""
        if name == DEFAULT_POOL:
            return {"PoolName": name, "ScalingMode": "STANDARD"}
        if name not in self._modes:
            raise not_found(f"Dedicated IP pool <{name}> does not exist.")
        return {"PoolName": name, "ScalingMode": self._modes[name]}

    def scale_pool(self, name: str, request: Mapping[str, Any]) -> None:
        """Change the mode of a pool from STANDARD to MANAGED; the other way is refused, as SES does."""
        mode = one_of(dict(request), "ScalingMode", MODES)
        if mode is None:
            raise bad_request("ScalingMode must not be null.")
        if self.pool(name)["ScalingMode"] == "MANAGED" and mode == "STANDARD":
            raise bad_request("Pool scaling mode cannot be changed from MANAGED to STANDARD.")
        self._modes[name] = mode

    def delete_pool(self, name: str) -> None:
        """Delete a pool; its addresses are then in the default pool."""
        self.pool(name)
        if name == DEFAULT_POOL:
            raise bad_request(f"Dedicated IP pool <{name}> cannot be deleted.")
        del self._modes[name]
        for one in self._members(name):
            one["PoolName"] = DEFAULT_POOL

    def addresses(self, pool: str | None = None) -> list[dict[str, Any]]:
        """Return the documents of the addresses, of one pool or of all, in order.

        The addresses of a managed pool are not among them.
        """
        if pool is not None:
            self.pool(pool)
        found = self._addresses.values() if pool is None else self._members(pool)
        return sorted((dict(one) for one in found), key=itemgetter("Ip"))

    def address(self, ip: str) -> dict[str, Any]:
        """Return the document of an address."""
        return dict(self._find(ip))

    def move(self, ip: str, request: Mapping[str, Any]) -> None:
        """Move an address into another pool."""
        pool = required(dict(request), "DestinationPoolName", str)
        address = self._find(ip)
        if self.pool(pool)["ScalingMode"] == "MANAGED":
            raise bad_request(f"Dedicated IP pool <{pool}> is managed: SES chooses its addresses.")
        address["PoolName"] = pool

    def warm_up(self, ip: str, request: Mapping[str, Any]) -> None:
        """Set how far an address is warmed up."""
        percentage = required(dict(request), "WarmupPercentage", int)
        if isinstance(percentage, bool) or not 0 <= percentage <= 100:
            raise bad_request("WarmupPercentage must be 0 to 100.")
        status = "DONE" if percentage == 100 else "IN_PROGRESS"
        self._find(ip).update(WarmupPercentage=percentage, WarmupStatus=status)

    def set_auto_warmup(self, request: Mapping[str, Any]) -> None:
        """Switch automatic warm-up on or off."""
        self.auto_warmup = bool(optional(dict(request), "AutoWarmupEnabled", bool))

    def choose(self, pool: str | None, recipients: Sequence[str]) -> str:
        """Return the address that a message leaves from: the same one for the same recipients and pool.

        Args:
            pool: of the configuration set; None for none, which means the default pool where that has an address.
            recipients: of the message.
        """
        members = self._leaving(pool)
        digest = blake2b("\n".join(recipients).lower().encode(), digest_size=8).digest()
        return members[int.from_bytes(digest) % len(members)]

    def _leaving(self, pool: str | None) -> list[str]:
        """List the addresses that mail of a pool leaves from; the shared one where the pool has none."""
        if pool is not None and self._modes.get(pool) == "MANAGED":
            first = blake2b(pool.encode(), digest_size=1).digest()[0]
            return [f"203.0.113.{(first + number) % 254 + 1}" for number in range(_MANAGED_ADDRESSES)]
        listed = sorted(one["Ip"] for one in self._members(pool or DEFAULT_POOL))
        return listed or [SHARED_ADDRESS]

    def _members(self, pool: str) -> list[dict[str, Any]]:
        return [one for one in self._addresses.values() if one["PoolName"] == pool]

    def _find(self, ip: str) -> dict[str, Any]:
        if ip not in self._addresses:
            raise not_found(f"Dedicated IP <{ip}> does not exist.")
        return self._addresses[ip]


def read_ipv4(text: str) -> str:
    """Return an IPv4 address as SES writes it.

    Raises:
        ValueError: it is not one.
    """
    try:
        return str(IPv4Address(text))
    except AddressValueError as error:
        raise ValueError(f"not an IPv4 address: {error}") from None


def _new(ip: str) -> dict[str, Any]:
    return {"Ip": read_ipv4(ip), "WarmupStatus": "DONE", "WarmupPercentage": 100, "PoolName": DEFAULT_POOL}
