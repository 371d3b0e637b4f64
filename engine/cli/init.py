"""`mailrun init`."""

from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
def init(folder: Path) -> None:
    """Make a workspace in DIR (here, by default) with three sample campaigns and a sample audience."""
    from engine.cli.output import name_command  # noqa: PLC0415 - keeps --help fast
    from engine.cli.samples import copy_samples  # noqa: PLC0415

    for path in copy_samples(folder):
        click.echo(f"made {path}")
    click.echo(f"next: {name_command()} launch {folder / 'campaigns' / 'welcome'} --sandbox")
