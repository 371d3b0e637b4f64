"""Which addresses and configuration sets are in which pool."""

from ipaddress import IPv4Network
from typing import Any

import pytest

from engine.account.pools.addresses import DEFAULT_POOL, SHARED_POOL, AddressPool, PoolKind, make_pools


def make_address(ip: str, pool: str | None = None, **more: Any) -> dict[str, Any]:
    named = {} if pool is None else {"PoolName": pool}
    return {"Ip": ip, "WarmupStatus": "DONE", "WarmupPercentage": 100, **named, **more}


def by_name(pools: tuple[AddressPool, ...]) -> dict[str, AddressPool]:
    return {pool.name: pool for pool in pools}


def test_make_pools_orders_addresses_as_numbers():
    found = [make_address(ip, "news") for ip in ("198.51.100.10", "198.51.100.9")]
    pools = make_pools({"news": "STANDARD"}, found, {})
    assert [pool.name for pool in pools] == [SHARED_POOL, "news"]
    assert [one.address for one in pools[1].addresses] == ["198.51.100.9", "198.51.100.10"]


@pytest.mark.parametrize(("found", "expected"), [([], SHARED_POOL), ([make_address("192.0.2.1")], DEFAULT_POOL)])
def test_a_set_without_a_pool_uses_dedicated_addresses_where_there_are_any(
    found: list[dict[str, Any]], expected: str
) -> None:
    pools = by_name(make_pools({}, found, {"plain": None}))
    assert {name: pool.configuration_sets for name, pool in pools.items() if pool.configuration_sets} == {
        expected: ("plain",)
    }


def test_make_pools_names_the_kind_of_each_pool():
    modes, sets = {"news": "STANDARD", "auto": "MANAGED"}, {"b": "gone", "a": "gone", "shared": SHARED_POOL}
    pools = by_name(make_pools(modes, [], sets))
    assert {name: pool.kind for name, pool in pools.items()} == {
        SHARED_POOL: PoolKind.SHARED,
        "auto": PoolKind.MANAGED,
        "gone": PoolKind.MISSING,
        "news": PoolKind.STANDARD,
    }
    assert pools["gone"].configuration_sets == ("a", "b")
    assert pools[SHARED_POOL].configuration_sets == ("shared",)


def test_make_pools_keeps_what_managed_pools_say_of_warm_up():
    managed = make_address("192.0.2.1", "auto", WarmupStatus="NOT_APPLICABLE", WarmupPercentage=-1)
    pools = by_name(make_pools({"auto": "MANAGED"}, [managed], {}))
    (one,) = pools["auto"].addresses
    assert (one.status, one.percentage, one.is_warming) == ("NOT_APPLICABLE", -1, False)


def test_make_pools_marks_addresses_of_own_ranges():
    found = [make_address("198.51.100.255"), make_address("198.51.101.0")]
    pools = by_name(make_pools({}, found, {}, [IPv4Network("198.51.100.0/24")]))
    assert [one.own for one in pools[DEFAULT_POOL].addresses] == [True, False]
