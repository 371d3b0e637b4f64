"""The reference names everything that users can name, so that it cannot fall behind the code."""

from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import BaseModel

from engine.audience.exclusions import ExclusionReason
from engine.campaign.spec import CampaignSpec
from engine.cli.main import cli
from engine.errors import ExitCode
from engine.ledger.schema import RunState
from engine.report.accounts import Accounts
from engine.settings import Settings

DOCS = Path(__file__).parent.parent.parent / "docs"
REFERENCE = (DOCS / "reference.md").read_text(encoding="utf-8")
SANDBOX = (DOCS / "sandbox.md").read_text(encoding="utf-8")


def list_keys(spec: type[BaseModel]) -> Iterator[str]:
    """Yield the keys of campaign.toml."""
    for name, field in spec.model_fields.items():
        nested = [kind for kind in (field.annotation, *getattr(field.annotation, "__args__", ())) if _is_section(kind)]
        if nested:
            yield from list_keys(nested[0])
        else:
            yield field.alias or name


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def test_every_command_and_option_is_in_the_reference():
    for name, command in cli.commands.items():
        assert f"`mailrun {name}" in REFERENCE
        page = SANDBOX + REFERENCE if name == "sandbox" else REFERENCE
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.opts[-1] in page, f"{name} {option.opts}"


def test_every_key_of_campaign_toml_is_in_the_reference():
    for key in list_keys(CampaignSpec):
        assert f"`{key}`" in REFERENCE or f"] {key}`" in REFERENCE, key


def test_every_exit_code_state_reason_and_json_key_is_in_the_reference(tmp_path: Path):
    accounts = Accounts(
        run="a/b", state="planned", reason=None, rows_read=0, accepted=0, excluded={}, outcomes={}, store=tmp_path
    )
    words = [*RunState, *ExclusionReason, *accounts.to_json()]
    for word in words:
        assert f"`{word}`" in REFERENCE, word
    for code in ExitCode:
        assert f"| {int(code)} |" in REFERENCE


def test_every_setting_is_in_the_reference():
    for name in Settings.model_fields:
        assert f"`MAILRUN_{name.upper()}`" in REFERENCE
