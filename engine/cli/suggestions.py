"""Commands that a person can run next, complete with what they need."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from engine.errors import UsageError
from engine.masking import mask_url
from engine.workspace_folder import find_workspace

_PLACE = ("workspace", "store", "ledger")
_ONCE = ("as_json", "yes", "approve")  # they confirm one call only; the next call must ask again
_WORKSPACE = "mailrun.workspace"


def remember_workspace(folder: Path) -> None:
    """Note which workspace the current command uses, so that a suggested command finds the same one."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[_WORKSPACE] = folder


def find_given(context: click.Context, name: str) -> Any:
    """Return the value that the command line gives for an option, before or after the command's name; or None."""
    level: click.Context | None = context
    while level is not None:
        if level.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            return level.params.get(name)
        level = level.parent
    return None


def name_command() -> str:
    """Return how to call mailrun: its name where the shell finds it, or else as it was called."""
    called = sys.argv[0]
    if called.endswith("__main__.py"):
        return "python -m engine"
    return "mailrun" if shutil.which("mailrun") else os.path.relpath(called)


def write_command(*words: str) -> str:
    """Write a command for the same workspace, store and ledger.

    Args:
        *words: the command and its arguments, such as `status`, `welcome/1`.
    """
    context = click.get_current_context(silent=True)
    place = [] if context is None else [*_write_place(context)]
    return f"{name_command()} {shlex.join([*words, *place])}"


def write_restart(run: str, *, sandbox: bool) -> str:
    """Write the command that sends what a run has not sent yet.

    Args:
        run: CAMPAIGN/KEY.
        sandbox: the run belongs to the embedded sandbox, which runs inside its launch alone.
    """
    return write_launch(run, sandbox=True) if sandbox else write_command("work", run)


def write_launch(run: str, *, sandbox: bool) -> str:
    """Write the command that launches a run again; arguments as write_restart."""
    campaign, _, key = run.rpartition("/")
    return write_command("launch", campaign, "--key", key, *(["--sandbox"] if sandbox else []))


def repeat_command(command: str, *, key: str | None = None) -> str:
    """Write another command with the current one's arguments, and with the options that both commands have.

    Args:
        command: such as `launch`.
        key: the run's key; written even where this call used the campaign's default.
    """
    context = click.get_current_context()
    root = context.find_root().command
    target = root.commands[command] if isinstance(root, click.Group) else context.command
    arguments: list[str] = []
    for parameter in context.command.params:
        if isinstance(parameter, click.Argument):
            value = context.params[str(parameter.name)]
            arguments += map(str, value) if isinstance(value, tuple) else [str(value)]
    options: list[str] = []
    for option in target.params:
        name = str(option.name)
        known = next((one for one in context.command.params if one.name == name), None)
        if isinstance(option, click.Option) and known is not None and name not in _ONCE:
            options += _write_option(option, find_given(context, name))
    if key is not None and find_given(context, "key") is None:
        options += ["--key", key]
    divide = ["--"] if any(argument.startswith("-") for argument in arguments) else []
    words = [command, *options, *divide, *arguments] if divide else [command, *arguments, *options]
    return f"{name_command()} {shlex.join(words)}"


def _write_option(option: click.Option, value: Any) -> Iterator[str]:
    if value is None or value is False:
        return
    flag = option.opts[-1]
    if option.is_flag:
        yield flag
        return
    values: Sequence[Any] = value if isinstance(value, tuple) else (value,)
    for one in map(mask_url if option.name in _PLACE else str, map(str, values)):
        yield from [f"{flag}={one}"] if one.startswith("-") else [flag, one]


def _write_place(context: click.Context) -> Iterator[str]:
    given = {name: find_given(context, name) for name in _PLACE}
    if given["workspace"] is None and not os.environ.get("MAILRUN_WORKSPACE"):
        given["workspace"] = _find_elsewhere(context)
    for name, value in given.items():
        if value is not None:
            yield from (f"--{name}", mask_url(str(value)))


def _find_elsewhere(context: click.Context) -> str | None:
    """Return the workspace if a command without --workspace would not find it."""
    folder: Path | None = context.meta.get(_WORKSPACE)
    if folder is None:
        return None
    try:
        is_here = find_workspace(None) == folder
    except UsageError:
        is_here = False
    return None if is_here else os.path.relpath(folder)
