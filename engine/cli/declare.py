"""How commands are declared: name, help, examples and parameters; the function is imported when the command runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import click
from click.core import ParameterSource

from engine.cli.options import make_common_options
from engine.on_demand import OnDemand

_NAME_WIDTH = 18  # of the longest command, so that the columns of all tasks are aligned


class Command(click.Command):
    """A command with examples.

    Attributes:
        examples: whole command lines, as a person types them.
    """

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, never wrapped: they are copied."""
        del ctx
        write_examples(self.examples, formatter)


class Group(click.Group):
    """A group of commands, with examples; they are listed by task where there are tasks.

    Attributes:
        examples: as of a command.
        tasks: heading to the names of its commands; empty for one list.
    """

    def __init__(
        self,
        *arguments: Any,
        examples: Sequence[str] = (),
        tasks: Mapping[str, Sequence[str]] | None = None,
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self.examples = tuple(examples)
        self.tasks = tasks or {"Commands": tuple(self.commands)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order of the tasks."""
        del ctx
        return [name for names in self.tasks.values() for name in names]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with the first line of its help, whole."""
        for heading, names in self.tasks.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            rows = [(f"{name:<{_NAME_WIDTH}}", read_first_line(command)) for name, command in commands if command]
            with formatter.section(heading):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        del ctx
        write_examples(self.examples, formatter)


def declare(
    name: str,
    function: str,
    text: str,
    *parameters: click.Parameter,
    examples: Sequence[str],
) -> Command:
    """Declare a command that has the common options.

    Args:
        name: of the command.
        function: `MODULE:FUNCTION` in `commands/`; it is decorated with `with_common`.
        text: of the help. The first line is a sentence of at most 70 characters; details are in paragraphs below it.
        *parameters: arguments and options, in the order of the help.
        examples: whole command lines.
    """
    params = [*parameters, *make_common_options()]
    return Command(
        name, callback=OnDemand(f"engine.cli.commands.{function}"), help=text, params=params, examples=examples
    )


def declare_group(
    name: str,
    text: str,
    commands: Sequence[click.Command],
    *,
    examples: Sequence[str],
) -> Group:
    """Declare a group of commands with the common options: `mailrun suppress --json list`."""
    return Group(
        name,
        help=text,
        commands=commands,
        params=make_common_options(),
        callback=refuse_options_that_the_command_lacks,
        examples=examples,
    )


def refuse_options_that_the_command_lacks(**given: Any) -> None:
    """Refuse an option before a command's name that the command does not have.

    Raises:
        UsageError: naming the command and the option.
    """
    context = click.get_current_context()
    called, group = str(context.invoked_subcommand), context.command
    command = group.get_command(context, called) if isinstance(group, click.Group) else None
    if command is None:
        return
    known = {parameter.name for parameter in command.params}
    for option in context.command.params:
        name = str(option.name)
        is_given = name in given and context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if is_given and name not in known:
            raise click.UsageError(f"{called} does not have the option {option.opts[-1]}", context)


def read_first_line(command: click.Command) -> str:
    """Return the first line of a command's help."""
    return (command.help or "").strip().partition("\n")[0]


def write_examples(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    """Write examples below the options."""
    if examples:
        with formatter.section("Examples"):
            formatter.write("".join(f"{'':>{formatter.current_indent}}{example}\n" for example in examples))
