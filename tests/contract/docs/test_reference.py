"""The reference names everything that users can name, so that it cannot fall behind the code."""

from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import BaseModel
from support.paths import DOCS

from engine.audience.exclusions import ExclusionReason
from engine.campaign.spec import CampaignSpec
from engine.cli.table import cli
from engine.errors import ExitCode
from engine.feedback.events.rules import RULES, EventAction
from engine.ledger.event_flags import Flag
from engine.ledger.schema import RunState
from engine.report.accounts import Accounts
from engine.settings import Settings

REFERENCE = (DOCS / "reference" / "campaign-toml.md").read_text(encoding="utf-8")
SANDBOX = (DOCS / "reference" / "sandbox.md").read_text(encoding="utf-8")


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
    commands = dict(cli.commands)
    for name, command in cli.commands.items():
        if isinstance(command, click.Group):
            commands |= {f"{name} {inner}": given for inner, given in command.commands.items()}
    for name, command in commands.items():
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
    for name, field in Settings.model_fields.items():
        nested = list(field.annotation.model_fields) if _is_section(field.annotation) else [""]  # type: ignore[union-attr] # a model
        for key in nested:
            assert f"`MAILRUN_{'_'.join(filter(None, (name, key))).upper()}`" in REFERENCE


def test_the_rules_of_feedback_are_in_their_page_as_they_are():
    page = (DOCS / "reference" / "events.md").read_text(encoding="utf-8")
    hidden = (Flag.PROVEN, Flag.STRIKE)
    for rule in RULES:
        shown = [f"`{str(flag.name).lower()}`" for flag in Flag if flag in rule.flags and flag not in hidden]
        subtype = f"`{rule.subtype}`" if rule.subtype else "any other"
        action = "—" if rule.action is EventAction.NOTHING else rule.action
        reason = f"`{rule.reason}`" if rule.reason else "—"
        told = (rule.kind or "any other", subtype, ", ".join(shown) or "—", action, reason, rule.note)
        assert f"| {' | '.join(told)} |" in page
    assert page.count("\n| ") > len(RULES)
