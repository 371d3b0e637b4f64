"""Help of every command: complete sentences, options with descriptions, and examples that parse."""

import inspect
import re

import click
import pytest
from click.testing import CliRunner
from support.command_tree import ALL

from engine.cli.declare import Command, Group, read_first_line
from engine.cli.table import TASKS, cli
from engine.on_demand import OnDemand

LONGEST_FIRST_LINE = 70
COLUMNS = 80
NOT_IMPERATIVE = re.compile(r"(?i)(the|a|an|it|this|to)\b|\w+(ing|s)\b(?<!process)(?<!suppress)")
COMMANDS = {name: command for name, command in ALL.items() if not isinstance(command, click.Group)}


@pytest.mark.parametrize("name", [name for name in ALL if name != "mailrun"])
def test_help_begins_with_a_short_imperative_sentence(name: str) -> None:
    line = read_first_line(ALL[name])
    assert len(line) <= LONGEST_FIRST_LINE
    assert re.fullmatch(r"[A-Z][^.]*\.", line)
    assert not NOT_IMPERATIVE.match(line)


@pytest.mark.parametrize("name", [name for name, command in ALL.items() if isinstance(command, click.Group)])
def test_help_of_a_group_lists_each_command_whole_in_80_columns(name: str) -> None:
    shown = CliRunner().invoke(cli, [*name.split()[1:], "--help"], terminal_width=COLUMNS).output
    group = ALL[name]
    assert isinstance(group, Group)
    for child, command in group.commands.items():
        assert re.search(rf"^  {child} +{re.escape(read_first_line(command))}$", shown, re.MULTILINE), child
    assert max(map(len, shown.splitlines())) <= COLUMNS


def test_help_groups_every_command_by_task() -> None:
    assert sorted(str(command.name) for commands in TASKS.values() for command in commands) == sorted(cli.commands)
    shown = CliRunner().invoke(cli, ["--help"]).output
    assert [line.rstrip(":") for line in shown.splitlines() if line.rstrip(":") in TASKS] == list(TASKS)


@pytest.mark.parametrize("name", ALL)
def test_help_ends_with_examples(name: str) -> None:
    command = ALL[name]
    assert isinstance(command, Command | Group)
    assert command.examples
    shown = CliRunner().invoke(cli, [*name.split()[1:], "--help"], terminal_width=COLUMNS).output
    assert shown.endswith("\nExamples:\n" + "".join(f"  {example}\n" for example in command.examples))


@pytest.mark.parametrize("name", ALL)
def test_help_says_what_each_option_does(name: str) -> None:
    options = [parameter for parameter in ALL[name].params if isinstance(parameter, click.Option)]
    wrong = [option.name for option in options if not re.match(r"[A-Z].*[.)\]]$", option.help or "")]
    assert wrong == []


@pytest.mark.parametrize("name", COMMANDS)
def test_command_function_takes_what_is_declared(name: str) -> None:
    callback = COMMANDS[name].callback
    assert isinstance(callback, OnDemand)
    function = callback.load()
    names = {parameter.name for parameter in COMMANDS[name].params if parameter.expose_value}
    names |= {"verdict"} if name == "mailrun resolve" else {"direction"} if name == "mailrun suppress sync" else set()
    if hasattr(function, "__wrapped__"):  # with_common takes the common options, and gives one argument
        inspect.signature(function, follow_wrapped=False).bind(**dict.fromkeys(names))
        function, names = function.__wrapped__, names - {"workspace", "store", "ledger", "as_json", "verbose"}
        names |= {"common"}
    inspect.signature(function).bind(**dict.fromkeys(names))
