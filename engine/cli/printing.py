"""Printing that never breaks a command, and commands that people can type next. Imports nothing heavy."""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from typing import Any

import click

_PLACE = ("--workspace", "--store", "--ledger")


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout."""
    print_lines(json.dumps(document, ensure_ascii=False, indent=2))


def print_lines(*lines: str, err: bool = False) -> None:
    """Print sentences; a failing stream changes nothing about what the command did, see streams.py."""
    for line in lines:
        click.echo(line, err=err)


_output_is_all = False


def mark_output_as_all() -> None:
    """Note that this command does nothing but print: where its output is lost, it has failed."""
    global _output_is_all  # noqa: PLW0603 - of the process
    _output_is_all = True


def is_output_all() -> bool:
    """Tell whether this command does nothing but print."""
    return _output_is_all


def name_command() -> str:
    """Return how to call this command again: its name where the shell finds it, else as it was called."""
    called = sys.argv[0]
    if called.endswith("__main__.py"):
        return "python -m engine"
    return "mailrun" if shutil.which("mailrun") else os.path.relpath(called)


def repeat_command(command: str, *, key: str | None = None, only_place: bool = False) -> str:
    """Write the command to type next: another one, with the arguments and options of this one.

    Args:
        command: what to call, such as `launch`.
        key: the run's key, named even where this call left it to the campaign.
        only_place: keep only where workspace, store and ledger are.
    """
    given = sys.argv[2:]
    if only_place:
        pairs = zip(given, [*given[1:], ""], strict=True)
        kept = [word for pair in pairs if pair[0] in _PLACE for word in pair]
        kept += [argument for argument in given if argument.startswith(tuple(f"{option}=" for option in _PLACE))]
    else:
        kept = [argument for argument in given if argument not in ("--json", "--yes")]
    if key is not None and not any(argument.partition("=")[0] == "--key" for argument in kept):
        kept += ["--key", key]
    return f"{name_command()} {shlex.join([command, *kept])}"
