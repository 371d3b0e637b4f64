"""Commands about the account that you send with and the machine that you send from."""

from pathlib import Path

import click

from engine.cli.declare import Command, declare
from engine.cli.options import IpAddress
from engine.on_demand import OnDemand

sandbox = declare(
    "sandbox",
    "sandbox:sandbox",
    """Run a local server that behaves like an SES account.

    It speaks the SES API and has an inbox page. It shows what `mailrun launch --sandbox` sent, and accepts calls of any
    SES client. Deliveries, bounces and complaints wait in its SQS queue.

    It prints its credentials and the address of the inbox, which contains a token. Default: new ones at each start.
    """,
    click.Option(
        ["--port"],
        type=click.IntRange(0, 65535),
        default=8025,
        show_default=True,
        help="Port to listen on; 0 chooses a free one.",
    ),
    click.Option(
        ["--rate"],
        type=click.FloatRange(min=0, min_open=True),
        default=None,
        help="Recipients a second that the account may send. Default: 10,000.",
    ),
    click.Option(
        ["--quota"],
        type=click.IntRange(min=0),
        default=None,
        help="Recipients in 24 hours that the account may send. Default: unlimited.",
    ),
    click.Option(
        ["--latency"],
        type=click.FloatRange(min=0),
        default=0.0,
        show_default=True,
        help="Seconds that a call takes.",
    ),
    click.Option(["--no-production-access"], is_flag=True, help="Behave like an account without production access."),
    click.Option(
        ["--identity", "identities"],
        multiple=True,
        help="Verified address or domain; repeat for more. Default: all are verified.",
    ),
    click.Option(
        ["--dedicated-ip", "dedicated_addresses"],
        multiple=True,
        type=IpAddress(),
        help="Dedicated IPv4 address of the account; repeat for more. Default: none.",
    ),
    click.Option(
        ["--behaviour"],
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help="JSON file with bounces, complaints, opens and so on by domain. Default: behaviour.json of the record.",
    ),
    click.Option(
        ["--envelope"],
        type=click.Choice(["sns", "raw", "eventbridge"]),
        help="Format of the events in the queue. Default: the format in --behaviour, or raw.",
    ),
    click.Option(
        ["--firehose"],
        metavar="FOLDER",
        type=click.Path(path_type=Path, file_okay=False),
        help="Write events to FOLDER, too, as Firehose does.",
    ),
    click.Option(["--gzip"], is_flag=True, help="Compress the files of --firehose."),
    click.Option(["--access-key"], metavar="ID", help="Access key id for clients. Default: random at each start."),
    click.Option(
        ["--secret"],
        metavar="SECRET",
        help="Secret access key for clients; prefer MAILRUN_SANDBOX_SECRET, because options are visible in the process"
        " list. Default: random at each start.",
    ),
    click.Option(
        ["--allow-host", "allow_hosts"],
        multiple=True,
        metavar="NAME",
        help="Answer to this Host, too; repeat for more. Default: only the names of this machine, such as 127.0.0.1.",
    ),
    examples=["mailrun sandbox", "mailrun sandbox --rate 14 --quota 50000 --latency 0.05"],
)

config = declare(
    "config",
    "config:config",
    """Show every setting and where it comes from.

    A setting comes from an option, an environment variable, a line of mailrun.toml, or its default, in this order.
    Secrets are masked.
    """,
    examples=["mailrun config", "mailrun config --store s3://acme-mail/mailrun --json"],
)

doctor = declare(
    "doctor",
    "doctor:doctor",
    """Check this machine and the workspace.

    Checks versions, the store, the ledger, temporary files, the keys of unsubscribe links, other users' write access,
    the limit of open files; and AWS's region, endpoint and credentials, whether SES permits GetAccount, and this
    machine's clock by SES's. Nothing is sent: `mailrun check` checks a campaign, its sender and the account.

    Exits with 78 if something prevents a launch, and with 69 if only SES does.
    """,
    examples=["mailrun doctor", "mailrun doctor --store s3://acme-mail/mailrun --ledger postgresql://db/mailrun"],
)

completion = Command(
    "completion",
    callback=OnDemand("engine.cli.commands.completion:completion"),
    help="""Print the shell completion script.

    The script completes commands, options, the campaigns of the workspace, and the runs of the ledger. Load it in the
    start-up file of your shell, such as ~/.bashrc.
    """,
    params=[click.Argument(["shell"], type=click.Choice(["bash", "zsh", "fish"]))],
    examples=[
        'eval "$(mailrun completion bash)"',
        'eval "$(mailrun completion zsh)"',
        "mailrun completion fish > ~/.config/fish/completions/mailrun.fish",
    ],
)
