"""`mailrun suppress`: who must not be mailed."""

from pathlib import Path
from typing import Any

import click

from engine.cli.options import Common, address_argument, alternative, common_options, complete_path, group_options

REASONS = ("complaint", "bounce", "soft_bounces", "provider", "unsubscribe", "manual")
_TOPIC = click.option("--topic", default=None, metavar="TOPIC", help="Of this topic alone; without it, of all mail.")


@click.group()
@group_options
def suppress() -> None:
    """Look at the list of those who must not be mailed, and change it."""


@suppress.command()
@address_argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)
@_TOPIC
@click.option("--reason", type=click.Choice(REASONS), default="manual", show_default=True)
@common_options
def add(addresses: tuple[str, ...], common: Common, *, topic: str | None, reason: str) -> int:
    """Suppress ADDRESS, or a domain as @DOMAIN; who did it, and when, is recorded.

    With - in place of ADDRESS they are read from standard input, one a line.
    """
    from engine.cli.commands.suppress import add_addresses  # noqa: PLC0415 - keeps --help fast

    return add_addresses(addresses, common, topic=topic or "", reason=reason)


@suppress.command()
@address_argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)
@_TOPIC
@click.option("--account", is_flag=True, help="Take it off the SES account's own list, too.")
@click.option("--yes", is_flag=True, help="Also where the person complained or unsubscribed.")
@common_options
def remove(addresses: tuple[str, ...], common: Common, *, topic: str | None, account: bool, yes: bool) -> int:
    """Mail ADDRESS again: take it off the list, of every topic or of one.

    Who complained or unsubscribed has said no; mail to them needs their new consent, and here --yes.
    """
    from engine.cli.commands.suppress import remove_addresses  # noqa: PLC0415 - keeps --help fast

    return remove_addresses(addresses, common, topic=topic, account=account, yes=yes)


@suppress.command()
@address_argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)
@click.option("--account", is_flag=True, help="Ask the SES account's own list, too.")
@common_options
def check(addresses: tuple[str, ...], common: Common, *, account: bool) -> int:
    """Say whether ADDRESS is suppressed, of what, why and since when."""
    from engine.cli.commands.suppress import check_addresses  # noqa: PLC0415 - keeps --help fast

    return check_addresses(addresses, common, account=account)


@suppress.command("list")
@_TOPIC
@click.option("--reason", default=None, help="Only with this reason.")
@click.option("--source", default=None, metavar="TEXT", help="Only from a source with this text in it.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="Only learnt since; UTC.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=100, show_default=True, metavar="N", help="Show N at most."
)
@common_options
def list_(common: Common, **filters: Any) -> int:
    """List who is suppressed, and count all by reason."""
    from engine.cli.commands.suppress import list_addresses  # noqa: PLC0415 - keeps --help fast

    return list_addresses(common, **filters)


@suppress.command("import")
@click.argument("place", metavar="FILE|s3://...", shell_complete=complete_path)
@_TOPIC
@click.option("--reason", default=None, help="Of all entries. Default: what the list says, or else manual.")
@click.option("--source", default=None, help="Where the entries are from; the default is the file's name.")
@common_options
def import_(place: str, common: Common, **defaults: Any) -> int:
    """Add a list of addresses or domains: CSV, text, Parquet, Excel or NDJSON.

    The column email is read, or the only one that can be meant; a list may be just addresses. Entries that cannot match
    anybody are reported by file and line, and the others are added: exit code 65 then.
    """
    from engine.cli.commands.suppress import import_list  # noqa: PLC0415 - keeps --help fast

    return import_list(place, common, **defaults)


@suppress.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_TOPIC
@click.option("--reason", default=None, help="Only with this reason.")
@common_options
def export(file: Path, common: Common, **filters: Any) -> int:
    """Write the list to FILE: Parquet where its name ends so, else CSV; `suppress import` reads both."""
    from engine.cli.commands.suppress import export_list  # noqa: PLC0415 - keeps --help fast

    return export_list(file, common, **filters)


@suppress.command()
@alternative("--pull", "direction", help="Only from the account.")
@alternative("--push", "direction", help="Only to the account.")
@click.option("--full", is_flag=True, help="List everything there, whenever it was changed, and report what differs.")
@click.option("--bucket", metavar="s3://BUCKET/PREFIX", help="For import jobs, where more than --most are to be told.")
@click.option(
    "--most", type=click.IntRange(min=1), default=600, show_default=True, metavar="N",
    help="Tell N at most one by one, at one a second.",
)  # fmt: skip
@common_options
def sync(common: Common, **how: Any) -> int:
    """Bring the list and the SES account's own list together, in both directions; what is interrupted goes on.

    Bounces and complaints for all mail go both ways. SES takes one call a second. Exit code 75: some are still to be
    told, sync again.
    """
    from engine.cli.commands.suppress import sync_lists  # noqa: PLC0415 - keeps --help fast

    return sync_lists(common, **how)
