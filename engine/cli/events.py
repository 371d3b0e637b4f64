"""`mailrun events`: what comes back."""

import click

from engine.cli.options import Common, common_options, complete_path, group_options

_TOPIC = click.option(
    "--topic",
    "topics",
    multiple=True,
    metavar="ARN",
    help="SNS topic whose notifications are believed; may be given again. [env var: MAILRUN_EVENTS_TOPICS]",
)


@click.group()
@group_options
def events() -> None:
    """Take in what came back: deliveries, bounces, complaints, opens, clicks, opt-outs."""


@events.command()
@click.option("--queue", metavar="URL", help="SQS queue that the events go to. [env var: MAILRUN_EVENTS_QUEUE]")
@_TOPIC
@click.option("--follow", is_flag=True, help="Go on when the queue is idle, until stopped.")
@click.option("--sandbox", is_flag=True, help="Take what the embedded sandbox has of runs that were sent to it.")
@common_options
def pull(queue: str | None, topics: tuple[str, ...], common: Common, *, follow: bool, sandbox: bool) -> int:
    """Take events out of an SQS queue until it is idle.

    A message is deleted when its events are durable here. Exits with 65 where something was set aside.
    """
    from engine.cli.commands.events import pull_events  # noqa: PLC0415 - keeps --help fast

    return pull_events(queue, common, topics=topics, follow=follow, sandbox=sandbox)


@events.command("import")
@click.argument("place", metavar="PATH|s3://BUCKET/PREFIX/", shell_complete=complete_path)
@_TOPIC
@common_options
def import_(place: str, topics: tuple[str, ...], common: Common) -> int:
    """Take events out of files, such as Firehose writes: JSON documents, plain or gzipped.

    The same file may be imported again: an event counts once. Exits with 65 where something was set aside.
    """
    from engine.cli.commands.events import import_events  # noqa: PLC0415 - keeps --help fast

    return import_events(place, common, topics=topics)
