"""`mailrun preview`."""

from typing import Any

import click

from engine.cli.options import Common, campaign_options, common_options


@click.command()
@campaign_options
@click.option(
    "--to",
    "addresses",
    multiple=True,
    metavar="ADDRESS",
    help="Show this recipient in the gallery, and write the message as an .eml file; repeat for more.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the gallery in the browser.")
@common_options
def preview(campaign: str, common: Common, **options: Any) -> int:
    """Do everything that a launch of CAMPAIGN does, for everybody, up to the hand-over to SES.

    Every message is rendered and looked at; chosen ones are left as a gallery page and as .eml files. Exits with 65
    where a message cannot be made, or has an error that would stop a launch.
    """
    from engine.cli.commands.preview import preview_campaign  # noqa: PLC0415 - keeps --help fast

    return preview_campaign(campaign, common, **options)
