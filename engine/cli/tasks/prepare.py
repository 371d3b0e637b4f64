"""Commands that prepare a campaign: nothing here sends to the audience."""

from pathlib import Path

import click

from engine.cli.declare import Command, declare
from engine.cli.options import make_campaign_parameters, make_file_option
from engine.on_demand import OnDemand

init = Command(
    "init",
    callback=OnDemand("engine.cli.commands.init:init"),
    help="""Create a workspace with sample campaigns.

    DIR gets three campaigns and an audience. Default: this folder. A folder that has campaigns or audiences already is
    left as it is.
    """,
    params=[click.Argument(["folder"], metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))],
    examples=["mailrun init", "mailrun init newsletters"],
)

plan = declare(
    "plan",
    "plan:plan",
    """Show who would get a campaign, and who would not.

    Reads the audience of CAMPAIGN, and counts the recipients and the excluded rows by reason. Nothing is sent, and no
    run is created. The plan is kept as Parquet files for you to inspect.

    Exits with 65 if the audience is wrong.
    """,
    *make_campaign_parameters(),
    click.Option(
        ["--explain"], metavar="ADDRESS", help="Show whether one address is a recipient, and which rule decides it."
    ),
    make_file_option("--export-excluded", "Write the excluded rows to FILE as CSV, for a spreadsheet."),
    examples=["mailrun plan welcome", "mailrun plan welcome --explain ann@example.com"],
)

preview = declare(
    "preview",
    "preview:preview",
    """Render a whole campaign without sending it.

    Does everything that a launch of CAMPAIGN does, for every recipient, up to the call to SES: every message is
    rendered and checked. A sample of them is written as a gallery page and as .eml files.

    Exits with 65 if a message cannot be rendered, or has an error that would stop a launch.
    """,
    *make_campaign_parameters(),
    click.Option(
        ["--to", "addresses"],
        multiple=True,
        metavar="ADDRESS",
        help="Show this recipient in the gallery, and write the message as an .eml file; repeat for more.",
    ),
    click.Option(["--open", "open_page"], is_flag=True, help="Open the gallery in the browser."),
    examples=["mailrun preview welcome --open", "mailrun preview welcome --to ann@example.com"],
)

check = declare(
    "check",
    "check:check",
    """Check that a campaign is ready to launch.

    Checks the content of CAMPAIGN on a fair sample of messages, and that the account may send: identity, quota and
    configuration set. `mailrun preview` checks every message.

    Exits with 65 if the content is wrong, with 69 if the account may not send, and with 78 if the AWS configuration is
    wrong.
    """,
    *make_campaign_parameters(),
    examples=["mailrun check welcome", "mailrun check welcome --json"],
)

test = declare(
    "test",
    "test:test",
    """Send a proof of a campaign to yourself.

    Sends the message of one recipient of CAMPAIGN through the real transport, marked [TEST]. Its unsubscribe link is
    your own. The proof belongs to no run.
    """,
    *make_campaign_parameters(),
    click.Option(
        ["--to"], multiple=True, required=True, metavar="ADDRESS", help="Send the proof here; repeat for more."
    ),
    click.Option(
        ["--as", "as_address"],
        metavar="ADDRESS",
        help="Send the message of this recipient. Default: the first one of the plan.",
    ),
    examples=[
        "mailrun test welcome --to you@example.com",
        "mailrun test welcome --to you@example.com --as ann@example.com",
    ],
)
