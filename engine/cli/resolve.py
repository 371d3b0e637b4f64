"""`mailrun resolve`."""

from datetime import timedelta
from pathlib import Path

import click

from engine.cli.commands.retention import Wait
from engine.cli.options import Common, alternative, common_options, run_argument


@click.command()
@run_argument()
@alternative("--sent", "verdict", help="They arrived: count them as sent.")
@alternative("--resend", "verdict", help="Send to them again; some may get a second copy.")
@alternative("--skip", "verdict", help="Never send to them; they count as failed.")
@alternative(
    "--after-restore",
    "verdict",
    help="The ledger was restored: hold in doubt what it cannot know.",
)
@alternative(
    "--from-events",
    "verdict",
    help="Settle those whom events prove; the silent ones as the campaign's in_doubt says.",
)
@click.option(
    "--after",
    type=Wait(),
    default="30m",
    show_default=True,
    metavar="TIME",
    help="With --from-events: how long after its call a recipient counts as silent: 30m, 2h.",
)
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Only those in FILE: CSV with a column row or address, or SES events as JSON lines.",
)
@click.option(
    "--export",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write those in doubt, with whole addresses, as CSV.",
)
@common_options
def resolve(  # noqa: PLR0913 - one for each option
    run: str, verdict: str | None, file: Path | None, export: Path | None, common: Common, *, after: timedelta
) -> None:
    """List the recipients of RUN that are in doubt, or settle them: all, or those of a file.

    Who settled what, and when, is recorded.
    """
    from engine.cli.commands.resolve import resolve_run  # noqa: PLC0415 - keeps --help fast

    if file is not None and verdict not in ("sent", "resend", "skip"):
        raise click.UsageError("--file goes with --sent, --resend or --skip")
    resolve_run(run, common, verdict=verdict, file=file, export=export, after=after)
