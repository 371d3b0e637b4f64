"""`mailrun sandbox`."""

from pathlib import Path
from typing import Any

import click

from engine.cli.options import Common, common_options


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8025, show_default=True, help="0 chooses a free one.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), default=None, help="Recipients a second.")
@click.option("--quota", type=click.IntRange(min=0), default=None, help="Recipients in 24 hours.")
@click.option("--latency", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Seconds a call takes.")
@click.option("--no-production-access", is_flag=True, help="Be an account in the SES sandbox.")
@click.option("--identity", "identities", multiple=True, help="A verified address or domain; without it, all are.")
@click.option(
    "--behaviour",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON: bounces, complaints, opens and the rest, by domain.",
)
@click.option("--envelope", type=click.Choice(["sns", "raw", "eventbridge"]), help="Of events in the queue.")
@click.option(
    "--firehose",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write events there too, as Firehose does.",
)
@click.option("--gzip", is_flag=True, help="Compress these files.")
@click.option("--access-key", metavar="ID", help="Access key id of its clients. Default: random at each start.")
@click.option(
    "--secret",
    metavar="SECRET",
    help="Its secret access key; better set MAILRUN_SANDBOX_SECRET: options are visible in the process list."
    " Default: random at each start.",
)
@click.option(
    "--allow-host", "allow_hosts", multiple=True, metavar="NAME", help="Answer to this Host too, beside 127.0.0.1."
)
@common_options
def sandbox(common: Common, **settings: Any) -> None:
    """Run a local server that speaks the SES API and behaves like an account, with an inbox to look at.

    It shows what `launch --sandbox` sent, and takes calls of anything else that is pointed at it. What comes back
    (deliveries, bounces, complaints …) waits in its SQS queue. Its credentials, and the token in the inbox's address,
    are printed; they are new at each start unless they are given.
    """
    from engine.cli.commands.sandbox import serve  # noqa: PLC0415 - keeps --help fast

    serve(common, **settings)
