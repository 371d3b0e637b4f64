"""The command line as a contract: help, exit codes, and what goes to which stream."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.cli.table import cli

COMMANDS = sorted(cli.commands)
HEAVY = (
    "polars",
    "sqlalchemy",
    "aiobotocore",
    "botocore",
    "aiohttp",
    "alembic",
    "jinja2",
    "pydantic",
    "rich",
    "structlog",
)


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


# -- help --------------------------------------------------------------------------------------------------------------


def test_help_of_every_command_works_and_imports_nothing_heavy():
    code = """
import json, sys
from click.testing import CliRunner
from engine.cli.table import cli
ended = {name: CliRunner().invoke(cli, [name, "--help"]).exit_code for name in cli.commands}
for group in ("suppress", "events", "inbound"):
    for name in cli.commands[group].commands:
        assert CliRunner().invoke(cli, [group, name, "--help"]).exit_code == 0
ended["mailrun"] = CliRunner().invoke(cli, ["-h"]).exit_code
print(json.dumps({"ended": ended, "modules": sorted(sys.modules)}))
"""
    said = json.loads(run_python(code).stdout)
    assert said["ended"] == dict.fromkeys([*COMMANDS, "mailrun"], 0)
    assert [name for name in HEAVY if name in said["modules"]] == []


def test_workspace_on_a_folder_store_does_not_import_boto3(tmp_path: Path):
    """It takes 45 ms of every command, and reads S3 alone."""
    (tmp_path / "campaigns").mkdir()
    code = """
import sys
from engine.cli.commands import suppress
from engine.workspace import open_workspace
with open_workspace(sys.argv[1]):
    print([name for name in sys.modules if name.startswith(("boto3", "s3transfer"))])
"""
    ended = run_python(code, str(tmp_path))
    assert (ended.returncode, ended.stdout.splitlines()[-1:]) == (0, ["[]"]), ended.stderr


def test_version_is_printed():
    told = run_python("from engine.cli.main import main; main()", "--version")
    assert (told.returncode, told.stdout.split()[0]) == (0, "mailrun,")


@pytest.mark.parametrize(
    ("arguments", "given", "code"),
    [
        (("suppress", "check", "-", "--json"), "ann@b.example\n\nbea@b.example\n", 0),
        (("suppress", "check", "-"), "\n", 2),
        (("forget", "-"), "ann@b.example\nbea@b.example\n", 2),
    ],
)
def test_addresses_are_read_from_standard_input(
    tmp_path: Path, arguments: tuple[str, ...], given: str, code: int
) -> None:
    """Arguments are seen by every user of the machine."""
    (tmp_path / "campaigns").mkdir()
    ended = CliRunner().invoke(cli, [*arguments, "--workspace", str(tmp_path)], input=given)
    assert ended.exit_code == code, ended.output
    if code == 0:
        checked = json.loads(ended.stdout.splitlines()[-1])["addresses"]
        assert [one["address"] for one in checked] == ["ann@b.example", "bea@b.example"]
    else:
        assert "one per line" in ended.output
