"""The examples of every help parse, in a folder with the files that they name."""

import io
import re
import shlex
from pathlib import Path

import click
import pytest
from support.command_tree import ALL

from engine.cli.table import cli

EXAMPLES = [(name, text) for name, command in ALL.items() for text in getattr(command, "examples", ())]


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_help_examples_parse(name: str, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("events.jsonl", "received.eml"):
        (tmp_path / file).touch()
    monkeypatch.setattr("sys.stdin", io.StringIO("ann@example.com\n"))
    found = re.search(r"mailrun[^<>)]*", example)
    assert found is not None
    words = shlex.split(found[0])
    command: click.Command = cli
    context = cli.make_context("mailrun", words[1:])
    path = ["mailrun"]
    while isinstance(command, click.Group):
        given = [*context._protected_args, *context.args]
        if not given and command.invoke_without_command:
            break
        called, child, rest = command.resolve_command(context, given)
        assert child is not None
        path.append(str(called))
        command = child
        context = child.make_context(str(called), rest, parent=context)
    assert " ".join(path).startswith(name)
