"""`mailrun completion`."""

import click
from click.shell_completion import get_completion_class

from engine.cli.console import print_lines

VARIABLE = "_MAILRUN_COMPLETE"  # click's name for it


def completion(shell: str) -> None:
    """Print the script that completes mailrun in a shell."""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click has these three
    root = click.get_current_context().find_root().command
    print_lines(kind(root, {}, "mailrun", VARIABLE).source())
