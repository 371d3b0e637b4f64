"""`mailrun suppress`: the addresses that must not be mailed."""

from pathlib import Path

import click

from engine.cli.declare import declare, declare_group
from engine.cli.options import complete_path, make_address_argument, make_alternatives

REASONS = ("complaint", "bounce", "soft_bounces", "provider", "unsubscribe", "manual")


def _make_topic_option(text: str) -> click.Option:
    return click.Option(["--topic"], default=None, metavar="TOPIC", help=text)


def _make_addresses() -> click.Argument:
    return make_address_argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)


_add = declare(
    "add",
    "suppress:add",
    """Suppress addresses or domains.

    Write a domain as @DOMAIN. The author and the time are recorded. Write - in place of ADDRESS to read addresses from
    standard input, one per line.
    """,
    _make_addresses(),
    _make_topic_option("Suppress mail of this topic only. Default: all mail."),
    click.Option(
        ["--reason"],
        type=click.Choice(REASONS),
        default="manual",
        show_default=True,
        help="Reason, shown by `mailrun suppress list`.",
    ),
    examples=["mailrun suppress add ann@example.com", "mailrun suppress add @example.com --topic news"],
)

_remove = declare(
    "remove",
    "suppress:remove",
    """Allow mail to addresses again.

    Removes the entries of ADDRESS from the list, of every topic or of one. Mail to a person who complained or
    unsubscribed needs new consent: confirm it with --yes. Write - in place of ADDRESS to read addresses from standard
    input.
    """,
    _make_addresses(),
    _make_topic_option("Remove only the entries of this topic. Default: all entries."),
    click.Option(["--account"], is_flag=True, help="Remove them from the SES account's own list, too."),
    click.Option(["--yes"], is_flag=True, help="Remove them even if the person complained or unsubscribed."),
    examples=["mailrun suppress remove ann@example.com", "mailrun suppress remove ann@example.com --account"],
)

_check = declare(
    "check",
    "suppress_check:check",
    """Show whether addresses are suppressed, and why.

    For each ADDRESS: the topic, the reason, the source and the time. Write - in place of ADDRESS to read addresses from
    standard input.
    """,
    _make_addresses(),
    click.Option(["--account"], is_flag=True, help="Check the SES account's own list, too."),
    examples=["mailrun suppress check ann@example.com", "mailrun suppress check ann@example.com --account"],
)

_list = declare(
    "list",
    "suppress:list_entries",
    """List suppressed addresses, and count them by reason.""",
    _make_topic_option("List only this topic."),
    click.Option(["--reason"], default=None, metavar="REASON", help="List only this reason."),
    click.Option(["--source"], default=None, metavar="TEXT", help="List only sources that contain TEXT."),
    click.Option(
        ["--since"],
        type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
        metavar="TIME",
        help="List only entries since TIME in UTC, such as 2026-12-01 or 2026-12-01T09:00:00.",
    ),
    click.Option(
        ["--limit"], type=click.IntRange(min=0), default=100, show_default=True, metavar="N", help="List at most N."
    ),
    examples=["mailrun suppress list", "mailrun suppress list --reason complaint --since 2026-12-01"],
)

_import = declare(
    "import",
    "suppress:import_",
    """Add a list of addresses or domains.

    Reads CSV, text, Parquet, Excel or NDJSON: the column email, or the only column that looks like addresses. A list
    may be just addresses, one per line.

    Entries that are not addresses are reported by file and line, and the others are added. The exit code is then 65.
    """,
    click.Argument(["place"], metavar="FILE|s3://...", shell_complete=complete_path),
    _make_topic_option("Suppress mail of this topic only. Default: the topic in the list, or all mail."),
    click.Option(
        ["--reason"],
        default=None,
        metavar="REASON",
        help="Reason of all entries. Default: the reason in the list, or manual.",
    ),
    click.Option(
        ["--source"], default=None, metavar="TEXT", help="Source of the entries. Default: the name of the file."
    ),
    examples=["mailrun suppress import optouts.csv", "mailrun suppress import s3://acme-lists/bounces.csv"],
)

_export = declare(
    "export",
    "suppress:export",
    """Write the suppression list to a file.

    FILE is Parquet if its name ends with .parquet, and CSV otherwise. `mailrun suppress import` reads both.
    """,
    click.Argument(["file"], type=click.Path(path_type=Path, dir_okay=False)),
    _make_topic_option("Write only this topic."),
    click.Option(["--reason"], default=None, metavar="REASON", help="Write only this reason."),
    examples=["mailrun suppress export suppressed.csv", "mailrun suppress export news.parquet --topic news"],
)

_sync = declare(
    "sync",
    "suppress:sync",
    """Synchronize the list with the SES account's own list.

    Bounces and complaints that block all mail go both ways. SES accepts one call a second. If you stop the command, the
    next one continues where it stopped.

    Exits with 75 if entries are left to push: run the command again.
    """,
    *make_alternatives("direction", pull="Only pull from the account.", push="Only push to the account."),
    click.Option(["--full"], is_flag=True, help="Read the account's whole list, and report the differences."),
    click.Option(
        ["--bucket"],
        metavar="s3://BUCKET/PREFIX",
        help="Bucket for import jobs, which push more than --most entries. Default: no import jobs.",
    ),
    click.Option(
        ["--most"],
        type=click.IntRange(min=1),
        default=600,
        show_default=True,
        metavar="N",
        help="Push at most N entries one by one, at one a second.",
    ),
    examples=["mailrun suppress sync", "mailrun suppress sync --push --bucket s3://acme-imports/suppress"],
)

suppress = declare_group(
    "suppress",
    """Manage the addresses that must not be mailed.

    An entry suppresses all mail or one topic, with a reason, a source and a time.
    """,
    [_add, _remove, _check, _list, _import, _export, _sync],
    examples=["mailrun suppress check ann@example.com", "mailrun suppress import optouts.csv"],
)
