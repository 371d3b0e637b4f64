"""`mailrun ses pools`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from ipaddress import IPv4Network
from typing import TypeVar

import click
import msgspec

from engine.account.pools import changes
from engine.account.pools.addresses import AddressPool, DedicatedAddress, PoolKind
from engine.account.pools.overview import PoolOverview, read_pools
from engine.account.services import AwsServices, open_services
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.opening import read_settings
from engine.errors import ExitCode, UsageError, escape_controls
from engine.system.streams import is_terminal
from engine.workspace_folder import find_workspace

T = TypeVar("T")

_UNLISTED = {
    PoolKind.SHARED: "addresses of SES that other accounts use, too",
    PoolKind.MANAGED: "addresses that SES manages and does not list",
    PoolKind.STANDARD: "no addresses",
    PoolKind.MISSING: "does not exist",
}
_SAYS = {"IN_PROGRESS": "warming up", "DONE": "warmed up", "NOT_APPLICABLE": "warmed up by SES"}


@with_common
def list_pools(common: Common, *, no_sets: bool) -> int:
    """Print the pools; return the exit code."""
    ranges = _read_own_ranges(common)
    overview = _run(lambda services: read_pools(services, ranges, with_sets=not no_sets))
    if common.json:
        print_json(msgspec.to_builtins(overview))
    else:
        print_lines(*map(escape_controls, _describe(overview)))
    return ExitCode.FINISHED


@with_common
def create(common: Common, *, name: str, managed: bool, yes: bool) -> int:
    """Create a pool; return the exit code."""
    found = _run(lambda services: changes.find_creation(services, name, managed=managed))
    if found.mode is not None and not found.is_kept:
        _confirm(f"the pool {name} is standard; as a managed pool it can never be standard again", yes=yes)
    _run(lambda services: changes.create_pool(services, found))
    done = "kept" if found.is_kept else "created" if found.mode is None else "made managed"
    _print(common, {"pool": name, "done": done}, f"pool {name}: {done}")
    return ExitCode.FINISHED


@with_common
def move(common: Common, *, address: str, pool: str, yes: bool) -> int:
    """Move an address; return the exit code."""
    found = _run(lambda services: changes.find_move(services, address, pool))
    if found.stranded:
        named = ", ".join(found.stranded)
        _confirm(f"{address} is the last address of {found.source}, which these sets send from: {named}", yes=yes)
    _run(lambda services: changes.move_address(services, found))
    done = f"{address} is in {pool}" + (" already" if found.source == pool else f", was in {found.source}")
    _print(common, msgspec.to_builtins(found), done)
    return ExitCode.FINISHED


@with_common
def warm_up(common: Common, *, address: str | None, percent: int | None, auto: str | None) -> int:
    """Set the warm-up of an address or of the account; return the exit code."""
    if (auto is None) == (address is None) or (address is None) != (percent is None):
        raise click.UsageError("give ADDRESS and PERCENT, or --auto on or off")
    if address is None or percent is None:
        _run(lambda services: changes.set_auto_warmup(services, enabled=auto == "on"))
        _print(common, {"auto_warmup": auto == "on"}, f"automatic warm-up of new addresses: {auto}")
    else:
        _run(lambda services: changes.set_warmup(services, address, percent))
        _print(common, {"address": address, "percentage": percent}, f"{address}: {percent} % warmed up")
    return ExitCode.FINISHED


def _read_own_ranges(common: Common) -> tuple[IPv4Network, ...]:
    """Read the ranges from the settings of the workspace; the account can be looked at without one."""
    try:
        common.workspace or find_workspace(None)
    except UsageError:
        return ()
    return tuple(map(IPv4Network, read_settings(common).ses.own_addresses))


def _run(work: Callable[[AwsServices], Awaitable[T]]) -> T:
    async def open_and_run() -> T:
        async with open_services() as services:
            return await work(services)

    return asyncio.run(open_and_run())


def _confirm(what: str, *, yes: bool) -> None:
    """Ask at a terminal; anywhere else, refuse without --yes."""
    if yes:
        return
    if is_terminal(sys.stdin) and is_terminal(sys.stderr):
        click.confirm(f"{what[0].upper()}{what[1:]}. Continue?", abort=True, err=True)
        return
    raise UsageError(f"{what}: nothing was changed", where="POOL", remedy="if you want that, add --yes")


def _print(common: Common, document: dict[str, object], line: str) -> None:
    if common.json:
        print_json(document)
    else:
        print_lines(escape_controls(line))


def _describe(overview: PoolOverview) -> Iterator[str]:
    auto = "on" if overview.auto_warmup else "off"
    yield f"pools of IP addresses in {overview.region}; automatic warm-up of new addresses is {auto}"
    for pool in overview.pools:
        yield f"{pool.name}  {pool.kind}"
        yield from (f"  {_describe_address(one)}" for one in pool.addresses)
        if not pool.addresses:
            yield f"  {_UNLISTED[pool.kind]}"
        if overview.sets_read:
            yield f"  configuration sets: {', '.join(pool.configuration_sets) or 'none'}"
    yield from _warn(overview.pools)


def _describe_address(one: DedicatedAddress) -> str:
    share = f", {one.percentage} %" if one.is_warming else ""
    own = ", your own (BYOIP)" if one.own else ""
    return f"{one.address:<15}  {_SAYS.get(one.status, one.status)}{share}{own}"


def _warn(pools: tuple[AddressPool, ...]) -> Iterator[str]:
    for pool in pools:
        if not pool.configuration_sets:
            continue
        if pool.kind is PoolKind.MISSING:
            yield f"WARNING: configuration sets name the pool {pool.name}, which does not exist"
        elif pool.kind is PoolKind.STANDARD and not pool.addresses:
            yield f"WARNING: configuration sets send from {pool.name}, which has no address"
