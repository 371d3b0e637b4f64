"""Commands about notifications of what happens to runs."""

import click

from engine.cli.declare import declare, declare_group
from engine.cli.options import complete_campaign, complete_target

test = declare(
    "test",
    "notify.trial:test_targets",
    """Send a test to each target, and print what it answered.

    Targets are those of [notify] in mailrun.toml. With CAMPAIGN, those of its campaign.toml as well.

    Exits with 69 if a target did not accept its test.
    """,
    click.Argument(["campaign"], required=False, shell_complete=complete_campaign),
    click.Option(
        ["--target"], metavar="NAME", shell_complete=complete_target, help="Test this target only. Default: all."
    ),
    examples=["mailrun notify test", "mailrun notify test welcome --target ops"],
)

send = declare(
    "send",
    "notify.due:send",
    """Send the notifications that are due.

    Looks for runs that have stalled first. Run it from cron, to hear of a run whose machine was lost.

    Exits with 69 if a target did not accept a notification; it is sent again later.
    """,
    examples=["mailrun notify send"],
)

notify = declare_group(
    "notify",
    "Test and send notifications of what happens to runs.",
    [test, send],
    examples=["mailrun notify test", "mailrun notify send"],
)
