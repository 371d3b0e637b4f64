"""The README as a new user follows it: its commands in their order, and its picture."""

import re
import subprocess
import sys
from pathlib import Path

from support.invariants import count_received
from support.pages import put_mailrun_on_path
from support.paths import ROOT
from support.world import World

README = (ROOT / "README.md").read_text(encoding="utf-8")

OF_TUTORIAL = ("export AWS_", "mailrun ses ", "mailrun check ", "mailrun events pull")


def read_commands(heading: str) -> str:
    found = re.search(rf"## {heading}\n.*?```sh\n(.*?)```", README, flags=re.DOTALL)
    assert found is not None, heading
    return found[1]


def test_readme_commands_run_in_their_order(world: World, tmp_path: Path):
    """With AWS's settings that name the sandbox, and an editor that changes nothing.

    The commands that ask more than SES are left out: the story of the tutorial runs them.
    """
    path, scratch = put_mailrun_on_path(tmp_path / "tools"), tmp_path / "scratch"
    scratch.mkdir()
    commands = read_commands("A first real campaign")
    script = "\n".join(line for line in commands.splitlines() if not line.startswith(OF_TUTORIAL))
    environment = world.environment() | {"EDITOR": "true", "PATH": path}
    shown = subprocess.run(
        ["/bin/bash", "-eu", "-c", script], cwd=scratch, env=environment, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert "proved" in shown.stdout
    outcomes = scratch / "news" / ".mailrun" / "runs" / "welcome" / "first" / "outcomes"
    assert list(outcomes.glob("*.parquet"))
    received = count_received(world, "welcome/first")
    assert set(received.values()) == {1}
    assert f" {len(received):,} = {len(received):,} sent" in shown.stdout


def test_readme_commands_name_no_date():
    """They work on any day: a key made from the clock is another one tomorrow."""
    assert not re.search(r"\d{4}-\d\d-\d\d", read_commands("A first real campaign"))


def test_readme_picture_shows_what_a_launch_prints():
    checked = subprocess.run(
        [sys.executable, "tools/picture.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
