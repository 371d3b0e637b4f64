"""Every command, by the words that call it."""

from collections.abc import Iterator

import click

from engine.cli.table import cli


def walk(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for child, one in command.commands.items():
            yield from walk(one, f"{name} {child}")


ALL = dict(walk(cli, "mailrun"))
