"""`mailrun init`."""

from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
def init(folder: Path) -> None:
    """Make a workspace in DIR (here, by default) with two sample campaigns and a sample audience."""
    from engine.cli.samples import copy_samples  # noqa: PLC0415 - keeps --help fast

    for path in copy_samples(folder):
        click.echo(f"made {path}")
    inside = "" if folder == Path() else f"cd {folder} && "
    click.echo(f"next: {inside}mailrun launch campaigns/welcome --sandbox")
