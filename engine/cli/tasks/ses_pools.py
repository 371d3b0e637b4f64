"""`mailrun ses pools`: dedicated IP addresses and their pools."""

from typing import Any

import click

from engine.cli.declare import Group, declare, refuse_options_that_the_command_lacks
from engine.cli.options import IpAddress, make_common_options
from engine.on_demand import OnDemand

_FUNCTIONS = "ses.pools"


def _make_yes(text: str) -> click.Option:
    return click.Option(["--yes"], is_flag=True, help=text)


def _make_address(*, required: bool = True) -> click.Argument:
    return click.Argument(["address"], type=IpAddress(), required=required)


_list = declare(
    "list",
    f"{_FUNCTIONS}:list_pools",
    """List pools with their addresses and configuration sets.

    Shows each pool's kind, the warm-up of its addresses, and the configuration sets that send from it. SES does not
    list the addresses of its shared pool and of managed pools. Addresses that you brought to SES (BYOIP) are marked
    where [ses] own_addresses in mailrun.toml has their ranges: SES does not mark them.

    Reading configuration sets takes one second for each of them. Nothing is changed.
    """,
    click.Option(["--no-sets"], is_flag=True, help="Do not read the configuration sets."),
    examples=["mailrun ses pools list", "mailrun ses pools list --no-sets --json"],
)

_create = declare(
    "create",
    f"{_FUNCTIONS}:create",
    """Create a pool.

    A standard pool takes addresses that you lease or bring. In a managed pool, SES chooses, scales and warms up the
    addresses. A pool that exists as wanted is kept. --managed makes a standard pool managed: that is permanent.
    """,
    click.Argument(["name"], metavar="NAME"),
    click.Option(["--managed"], is_flag=True, help="Let SES manage the addresses. Default: a standard pool."),
    _make_yes("Make a standard pool managed without asking."),
    examples=["mailrun ses pools create marketing", "mailrun ses pools create news --managed"],
)

_move = declare(
    "move",
    f"{_FUNCTIONS}:move",
    """Move a dedicated IP address into another pool.

    Asks first where the address is the last one of a pool that a configuration set sends from.
    """,
    _make_address(),
    click.Argument(["pool"], metavar="POOL"),
    _make_yes("Move the last address of a pool without asking."),
    examples=["mailrun ses pools move 198.51.100.7 marketing"],
)

_warmup = declare(
    "warmup",
    f"{_FUNCTIONS}:warm_up",
    """Set the warm-up of an address, or of all new ones.

    With ADDRESS and PERCENT: how far that address is warmed up; 100 ends its warm-up. With --auto: whether SES warms up
    addresses that are new in the account and region.
    """,
    _make_address(required=False),
    click.Argument(["percent"], type=click.IntRange(0, 100), required=False),
    click.Option(["--auto"], type=click.Choice(["on", "off"]), help="Automatic warm-up of new addresses."),
    examples=["mailrun ses pools warmup 198.51.100.7 40", "mailrun ses pools warmup --auto on"],
)

_list_them = OnDemand(f"engine.cli.commands.{_FUNCTIONS}:list_pools")


def _list_if_alone(**given: Any) -> int | None:
    if click.get_current_context().invoked_subcommand is None:
        return int(_list_them(no_sets=False, **given))
    refuse_options_that_the_command_lacks(**given)
    return None


pools = Group(
    "pools",
    help="""Show and change the pools of IP addresses.

    Without a command, it lists them.
    """,
    commands=[_list, _create, _move, _warmup],
    params=make_common_options(),
    callback=_list_if_alone,
    invoke_without_command=True,
    examples=["mailrun ses pools", "mailrun ses pools move 198.51.100.7 marketing"],
)
