"""`mailrun resolve`."""

from datetime import timedelta
from pathlib import Path

import click

from engine.cli.keeping import Wait
from engine.cli.options import Common, common_options


@click.command()
@click.argument("run")
@click.option("--sent", "verdict", flag_value="sent", help="They arrived: count them as sent.")
@click.option("--resend", "verdict", flag_value="resend", help="Send to them again; some may get a second copy.")
@click.option("--skip", "verdict", flag_value="skip", help="Never send to them; they count as failed.")
@click.option(
    "--after-restore",
    "verdict",
    flag_value="after-restore",
    help="The ledger was restored: hold in doubt what it cannot know.",
)
@click.option(
    "--from-events",
    "verdict",
    flag_value="from-events",
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
    from engine.cli.resolving import resolve_run  # noqa: PLC0415 - keeps --help fast

    if file is not None and verdict not in ("sent", "resend", "skip"):
        raise click.UsageError("--file goes with --sent, --resend or --skip")
    resolve_run(run, common, verdict=verdict, file=file, export=export, after=after)
