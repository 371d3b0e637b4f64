"""What commands import: most of a short command's time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# What only sending needs, with the account and its libraries.
SENDING = ("aiobotocore", "aiohttp", "aiosmtplib", "alembic", "botocore", "engine.delivery", "engine.run.send")
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


def list_imports(workspace: Path, *arguments: str) -> list[str]:
    """Run a command in a new process, and list the modules that it has imported at its end."""
    (workspace / "campaigns").mkdir(exist_ok=True)
    command = [sys.executable, "-c", _CODE, *arguments, "--workspace", str(workspace)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
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
