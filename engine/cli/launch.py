"""`mailrun launch`."""

from typing import Any

import click

from engine.cli.options import Common, campaign_options, common_options, parent_option


@click.command()
@campaign_options
@click.option("--yes", is_flag=True, help="Do not ask before a new run is sent.")
@click.option(
    "--workers",
    type=click.IntRange(min=1, max=64),
    metavar="N",
    help="Send with N processes; without it one, and more once one is not enough.",
)
@click.option("--approve", is_flag=True, help="Let the rest follow the canary, or go on after the guard; recorded.")
@parent_option
@common_options
def launch(campaign: str, common: Common, **options: Any) -> int:
    """Plan CAMPAIGN and send it; launching the same key again goes on, or says that it is finished.

    Ctrl-C or SIGTERM stops in order: what is in flight ends, exit code 75; a second one stops at once.
    """
    from engine.cli.commands.launch import launch_campaign  # noqa: PLC0415 - keeps --help fast

    return launch_campaign(campaign, common, **options)
