"""`mailrun check`."""

from typing import Any

import click

from engine.cli.options import Common, campaign_options, common_options


@click.command()
@campaign_options
@common_options
def check(campaign: str, common: Common, **changes: Any) -> int:
    """Tell whether CAMPAIGN may be launched: its content, and the account with its sender and quota.

    A fair sample of messages is looked at; preview looks at all of them. Exits with 65 where the content is wrong, 69
    where the account may not send, 78 where the AWS configuration is wrong.
    """
    from engine.cli.commands.preview import check_and_print  # noqa: PLC0415 - keeps --help fast

    return check_and_print(campaign, common, **changes)
