"""`mailrun inbound`: mail that came back."""

import click

from engine.cli.options import Common, common_options, complete_path, group_options


@click.group()
@group_options
def inbound() -> None:
    """Take in mail that was answered: wishes to get no more, and complaints of other providers."""


@inbound.command()
@click.option("--queue", required=True, metavar="URL", help="SQS queue with the notifications of a receipt rule.")
@click.option(
    "--topic", "topics", multiple=True, metavar="ARN",
    help="SNS topic whose notifications are believed; may be given again. [env var: MAILRUN_EVENTS_TOPICS]",
)  # fmt: skip
@click.option("--follow", is_flag=True, help="Go on when the queue is idle, until stopped.")
@common_options
def pull(queue: str, topics: tuple[str, ...], common: Common, *, follow: bool) -> int:
    """Take mails out of an SQS queue until it is idle: in the notification itself, or in the S3 object that it names.

    A message is deleted when what it says is durable here.
    """
    from engine.cli.commands.inbound import pull_mails  # noqa: PLC0415 - keeps --help fast

    return pull_mails(queue, common, topics=topics, follow=follow)


@inbound.command("import")
@click.argument("place", metavar="PATH|s3://BUCKET/PREFIX/", shell_complete=complete_path)
@common_options
def import_(place: str, common: Common) -> int:
    """Take mails out of a file (a mail, an mbox), a folder (a Maildir), or objects that a receipt rule has written.

    Without a token of ours a mail counts only where your mail server's Authentication-Results prove its sender: name
    the server in `[inbound] authserv_id`. The same mail may be imported again: it changes nothing.
    """
    from engine.cli.commands.inbound import import_mails  # noqa: PLC0415 - keeps --help fast

    return import_mails(place, common)
