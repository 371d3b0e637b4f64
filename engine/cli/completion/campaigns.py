"""Completions for CAMPAIGN and PATH: quick, and silent where there are none."""

import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from engine.cli.suggestions import find_given
from engine.workspace_folder import find_workspace, list_campaigns


def complete_campaign(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the workspace's campaigns by name, or folders where the text is a path."""
    try:
        names = [] if "/" in incomplete else list_campaigns(find_named_workspace(context))
    except Exception:  # noqa: BLE001 - the command itself reports any error
        names = []
    found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="dir")]


def complete_path(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete files and folders, for what may be an s3:// address or a glob as well."""
    return [CompletionItem(incomplete, type="file")]


def find_named_workspace(context: click.Context) -> Path:
    """Return the workspace that the command line or the environment names, or else the one around this folder.

    Raises:
        UsageError: there is none.
    """
    given = find_given(context, "workspace") or os.environ.get("MAILRUN_WORKSPACE")
    return Path(given or find_workspace(None)).absolute()
