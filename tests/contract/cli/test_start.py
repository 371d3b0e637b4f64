"""What commands import: most of a short command's time."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.world import World

# What only sending needs, with the account and its libraries.
SENDING = ("aiobotocore", "aiohttp", "aiosmtplib", "alembic", "botocore", "engine.delivery", "engine.run.send")
MONITORING = ("opentelemetry", "prometheus_client")  # what only a command that is monitored needs
# Of a launch that sends in the lean way.
UNUSED = ("aiobotocore", "aiohttp", "aiosmtplib", "alembic", "boto3", "rich", *MONITORING)
SLOW = ("aiobotocore", "aiohttp", "alembic", "botocore", "jinja2", "polars", "rich")
CAMPAIGN_MODEL = ("engine.audience.spec", "engine.campaign.spec", "engine.run.manifest")
CAMPAIGN = """
from = "Acme News <news@acme.example>"
subject = "Welcome, {{ name }}"
kind = "transactional"
key = "hello"
[audience]
source = "list.csv"
address = "email"
[content]
text = "body.txt.j2"
"""
_CODE = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
from engine.cli.main import main
main()
"""


def list_imports(workspace: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> list[str]:
    """Run a command in a new process, and list the modules that it has imported at its end."""
    (workspace / "campaigns").mkdir(exist_ok=True)
    command = [sys.executable, "-c", _CODE, *arguments, "--workspace", str(workspace)]
    variables = os.environ | (environment or {})
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=variables)
    imported: list[str] = json.loads(ended.stderr.splitlines()[-1])
    return imported


@pytest.mark.parametrize("arguments", [("status",), ("suppress", "check", "Ann@example.com")], ids=" ".join)
def test_short_command_imports_nothing_slow(arguments: tuple[str, ...], tmp_path: Path):
    """Neither in a new workspace, whose ledger is made, nor in one that exists."""
    for _ in range(2):
        imported = list_imports(tmp_path, *arguments)
        assert [name for name in (*SLOW, *CAMPAIGN_MODEL) if name in imported] == []
        assert "sqlalchemy.dialects.postgresql" not in imported


def test_plan_imports_nothing_that_only_sending_needs(tmp_path: Path):
    """Neither with a new ledger nor with one that exists."""
    campaign = tmp_path / "campaigns" / "hello"
    campaign.mkdir(parents=True)
    (tmp_path / "list.csv").write_text("email,name\nann@example.com,Ann\n")
    (campaign / "campaign.toml").write_text(CAMPAIGN)
    (campaign / "body.txt.j2").write_text("Hello {{ name }}\n")
    for _ in range(2):
        imported = list_imports(tmp_path, "plan", "hello")
        assert [name for name in SENDING if name in imported] == []


def test_launch_imports_no_client_that_it_does_not_use(world: World):
    """Its calls go by the lean client, and its few questions to the account by botocore in a thread."""
    world.write_people(3)
    arguments = ("launch", "hello", "--yes", "--key", "test")
    imported = list_imports(world.folder, *arguments, environment=world.environment())
    assert [name for name in imported if name.startswith("engine.metrics.otlp.")] == []
    assert [name for name in UNUSED if name in imported] == []
    assert len(world.accepted()) == 3
