"""`mailrun init`."""

import shlex
from pathlib import Path

import click

from engine.cli.printing import print_lines
from engine.cli.suggestions import name_command


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
def init(folder: Path) -> None:
    """Make a workspace in DIR (here, by default) with three sample campaigns and a sample audience."""
    from engine.cli.commands.init import copy_samples  # noqa: PLC0415 - keeps --help fast

    for path in copy_samples(folder):
        print_lines(f"made {path}")
    launch = shlex.join(["launch", str(folder / "campaigns" / "welcome"), "--sandbox"])
    print_lines(f"next: {name_command()} {launch}")
