"""`mailrun doctor`."""

import click

from engine.cli.options import Common, common_options


@click.command()
@common_options
def doctor(common: Common) -> None:
    r"""Look over this machine and the workspace: what is in order, what is not, and what to do about it.

    Looked at are versions, the store, the ledger, temporary files, the keys of unsubscribe links, who else can write,
    and how many files may be open. Nothing is sent, and SES is not asked: `mailrun check` does that for a campaign.

    Exits with 78 where something would keep a launch from running.

    \b
    Examples:
      mailrun doctor
      mailrun doctor --store s3://my-bucket/mailrun --ledger postgresql://db/mailrun
    """
    from engine.cli.commands.doctor import examine  # noqa: PLC0415 - keeps --help fast

    examine(common)
