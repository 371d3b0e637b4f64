"""Completions for names of targets of notifications."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from engine.campaign.spec import load_campaign
from engine.cli.completion.campaigns import find_named_workspace
from engine.notify.targets import find_targets
from engine.settings import load_settings
from engine.workspace_folder import CAMPAIGNS


def complete_target(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the targets of mailrun.toml, and those of the campaign that the command line names."""
    try:
        names = _read_targets(context)
    except Exception:  # noqa: BLE001 - the command itself reports any error
        names = []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _read_targets(context: click.Context) -> list[str]:
    # An option without its value ends click's parsing: the argument before it is left in `args`.
    named = [context.params.get("campaign"), *context.args]
    workspace, campaign = find_named_workspace(context), next(filter(None, named), None)
    spec = load_campaign(_find_folder(workspace, campaign)).spec.notify if campaign else None
    return [*find_targets(load_settings(workspace).notify, None if spec is None else spec.dump()).targets]


def _find_folder(workspace: Path, campaign: str) -> Path:
    return Path(campaign) if Path(campaign).is_dir() else workspace / CAMPAIGNS / campaign
