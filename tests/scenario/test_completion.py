"""The shell completes commands, campaigns and runs, and stays silent where there are none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.world import World, open_world

BASH = """
compopt() { :; }  # bash has it inside a completion alone
eval "$(mailrun completion bash)"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_mailrun_completion mailrun
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(world: World, *words: str, folder: Path | None = None) -> list[str]:
    environment = world.environment()
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    completed = subprocess.run(
        ["/bin/bash", "-c", BASH, "bash", "mailrun", *words],
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
