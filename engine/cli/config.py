"""`mailrun config`."""

import click

from engine.cli.options import Common, common_options


@click.command()
@common_options
def config(common: Common) -> None:
    r"""Show every setting, its value, and where it comes from.

    A setting comes from an option, a variable of the environment, a line of mailrun.toml, or its default, in this
    order. Secrets are masked.

    \b
    Examples:
      mailrun config
      mailrun config --store s3://my-bucket/mailrun --json
    """
    from engine.cli.commands.config import show_settings  # noqa: PLC0415 - keeps --help fast

    show_settings(common)
