"""The shell completes commands, campaigns and runs, and stays silent where there are none."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete
from support.world import World, open_world

from engine.cli.table import cli

BASH = """
compopt() { :; }  # bash has it inside a completion alone
eval "$(mailrun completion bash)"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_mailrun_completion mailrun
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(world: World, *words: str, folder: Path | None = None, script: str = BASH) -> list[str]:
    environment = world.environment()
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    completed = subprocess.run(
        ["/bin/bash", "-c", script, "bash", "mailrun", *words],
        cwd=folder or world.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert completed.stderr == ""
    return [line for line in completed.stdout.splitlines() if line]


def test_completion_offers_campaigns_and_runs(tmp_path: Path, ledger_url: str):
    with open_world(tmp_path, ledger=ledger_url) as world:
        world.write_people(1)
        assert complete(world, "status", "") == []
        for key in ("one", "two"):
            assert world.run("launch", "hello", "--key", key).code == 0
        assert complete(world, "launch", "h") == ["hello"]
        assert complete(world, "status", "") == ["hello/two", "hello/one"]
        assert complete(world, "resolve", "hello/o") == ["hello/one"]
        elsewhere = ("--workspace", str(world.folder), "audit", "hello/t")
        assert complete(world, *elsewhere, folder=tmp_path) == ["hello/two"]
        assert complete(world, "--workspace", str(world.folder), "suppress", "l", folder=tmp_path) == ["list"]


def test_completion_offers_targets_of_workspace_and_campaign(world: World):
    world.write("mailrun.toml", '[notify.targets.ops]\nkind = "slack"\n[notify.targets.night]\nkind = "slack"\n')
    test = ("notify", "test")
    assert complete(world, *test, "--target", "") == ["ops", "night"]
    assert complete(world, *test, "--target", "n") == ["night"]
    text = (world.campaign / "campaign.toml").read_text()
    world.write("campaigns/hello/campaign.toml", f'{text}\n[notify.targets.shop]\nkind = "teams"\n')
    assert complete(world, *test, "hello", "--target", "") == ["ops", "night", "shop"]
    assert complete(world, *test, "nothing", "--target", "") == []


def test_completion_is_silent_without_workspace_or_ledger(world: World, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for command in ("launch", "status"):
        assert complete(world, command, "", folder=elsewhere) == []
    world.settings["MAILRUN_LEDGER"] = "postgresql://nobody@127.0.0.1:9/none"
    assert complete(world, "status", "") == []
    world.settings["MAILRUN_LEDGER"] = "nonsense"
    assert complete(world, "status", "") == []
    assert not (world.folder / ".mailrun").exists()


@pytest.mark.parametrize(("shell", "words"), [("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete --")])
def test_completion_script_is_for_the_shell(world: World, shell: str, words: str):
    script = world.run("completion", shell)
    assert (script.code, script.stderr) == (0, "")
    assert words in script.stdout
    assert "_MAILRUN_COMPLETE" in script.stdout


def find_path_parameters(command: click.Command, *above: str) -> Iterator[tuple[list[str], click.Parameter]]:
    """Yield every parameter that is a path, or an address that may be one, and the words before it."""
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from find_path_parameters(below, *above, name)
    number = 0  # of arguments before
    for parameter in command.params:
        is_argument = isinstance(parameter, click.Argument)
        if re.search(r"PATH|FILE|FOLDER|DIR", parameter.metavar or ""):
            yield [*above, *(["x"] * number if is_argument else parameter.opts[:1])], parameter
        number += is_argument


PATH_PARAMETERS = list(find_path_parameters(cli))


@pytest.mark.parametrize("words", [words for words, _ in PATH_PARAMETERS], ids=" ".join)
def test_completion_of_a_path_leaves_it_to_the_shell(words: list[str]):
    completed = BashComplete(cli, {}, "mailrun", "_MAILRUN_COMPLETE").get_completions(words, "audiences/subs")
    assert [(item.type, item.value) for item in completed] in (
        [("file", "audiences/subs")],
        [("dir", "audiences/subs")],
    )


def test_completion_of_a_path_covers_audience_and_imports():
    assert {("--audience",), ("suppress", "import"), ("events", "import")} <= {
        tuple(words[-1:] if words[-1] == "--audience" else words) for words, _ in PATH_PARAMETERS
    }


@pytest.mark.parametrize(
    "words", [("plan", "hello", "--audience", "audiences/subs"), ("suppress", "import", "audiences/subs")]
)
def test_completion_of_a_path_tells_bash_to_complete_files(world: World, words: tuple[str, ...]):
    script = BASH.replace("compopt() { :; }", 'compopt() { echo "compopt $1 $2"; }')
    assert complete(world, *words, script=script) == ["compopt -o default"]
