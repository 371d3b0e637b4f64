"""`mailrun test`."""

from typing import Any

import click

from engine.cli.options import Common, campaign_options, common_options


@click.command()
@campaign_options
@click.option("--to", multiple=True, required=True, metavar="ADDRESS", help="Where the proof goes; repeat for more.")
@click.option("--as", "as_address", metavar="ADDRESS", help="The recipient whose message it is; else the plan's first.")
@common_options
def test(campaign: str, common: Common, **options: Any) -> int:
    """Send a proof of CAMPAIGN to yourself, through the real transport, marked [TEST].

    It is what the recipient would get, but the unsubscribe link is your own. It is part of no run.
    """
    from engine.cli.commands.preview import send_and_print  # noqa: PLC0415 - keeps --help fast

    return send_and_print(campaign, common, **options)
