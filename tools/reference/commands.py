"""The command line, from click's own description of it."""

import inspect
from collections import Counter
from collections.abc import Iterator

import click

from engine.cli.declare import read_first_line
from engine.cli.table import cli
from tools.reference.markdown import escape, make_table

_HEADS = ("option", "meaning")


def describe_commands() -> str:
    """Return an overview by task, the common options, and a section for every command."""
    common = make_table(_HEADS, (_describe_option(option, "mailrun") for option in list_common()))
    sections = (_describe_command(name, command) for name, command in walk_commands())
    return "\n\n".join([f"## Commands by task\n\n{_list_tasks()}", f"## Common options\n\n{common}", *sections])


def _list_tasks() -> str:
    names = dict(walk_commands())
    rows = [
        (task, f"[{name}](#{name.replace(' ', '-')})", escape(read_first_line(command)))
        for task, tops in cli.tasks.items()
        for top in tops
        for name, command in names.items()
        if name.split()[1] == top
    ]
    return make_table(("task", "command", "does"), rows)


def walk_commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command that runs something, with its whole name: `mailrun events pull`."""
    yield from _walk("mailrun", cli)


def _walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command, info_name=name)
    for inner in command.list_commands(context):
        found = command.get_command(context, inner)
        if found is not None and not found.hidden:
            yield from _walk(f"{name} {inner}", found)


def list_common() -> list[click.Option]:
    """Return the options that most commands share, in their order."""
    commands = [command for _, command in walk_commands()]
    counted = Counter(option.name for command in commands for option in _list_options(command))
    shared = {name for name, count in counted.items() if count > len(commands) / 2}
    whole = next(command for command in commands if shared <= {option.name for option in _list_options(command)})
    return [option for option in _list_options(whole) if option.name in shared]


def _list_options(command: click.Command) -> list[click.Option]:
    return [option for option in command.params if isinstance(option, click.Option) and not option.hidden]


def _describe_command(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    parts = [f"## {name}", f"```text\n{usage}\n```", *_convert_help(command.help)]
    options, common = _list_options(command), {option.name for option in list_common()}
    if common <= {option.name for option in options}:
        options = [option for option in options if option.name not in common]
        parts.append("The [common options](#common-options) apply.")
    if options:
        parts.append(make_table(_HEADS, (_describe_option(option, name) for option in options)))
    if examples := getattr(command, "examples", ()):
        parts.append("```sh\n" + "\n".join(examples) + "\n```")
    if examples := getattr(command, "examples", ()):
        parts.append("```sh\n" + "\n".join(examples) + "\n```")
    return "\n\n".join(parts)


def _describe_option(option: click.Option, name: str) -> tuple[str, str]:
    record = option.get_help_record(click.Context(click.Command(name), info_name=name))
    assert record is not None  # noqa: S101 - hidden options are left out
    return f"`{record[0]}`", escape(record[1])


def _convert_help(text: str | None) -> Iterator[str]:
    r"""Yield the paragraphs of a help as Markdown; a paragraph after `\b` is shown as it is, as code."""
    for paragraph in inspect.cleandoc(text or "").replace("\f", "").split("\n\n"):
        if not paragraph.strip():
            continue
        if not paragraph.lstrip().startswith("\b"):
            yield escape(" ".join(paragraph.split()))
            continue
        lines = paragraph.strip().removeprefix("\b").strip("\n").splitlines()
        if lines and lines[0].rstrip().endswith(":"):
            yield escape(lines.pop(0).strip())
        yield "```sh\n" + inspect.cleandoc("\n" + "\n".join(lines)) + "\n```"
