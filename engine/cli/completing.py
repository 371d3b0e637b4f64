"""What the shell offers for CAMPAIGN and RUN: quick, and silent where there is nothing to offer.

The ledger is only read, with its own driver: opening it would create or migrate it.
"""

import os
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import click
from click.shell_completion import CompletionItem

from engine.cli.suggestions import find_given
from engine.workspace_folder import find_workspace, list_campaigns

_MOST = 500
_RUNS = f"SELECT name FROM run ORDER BY created_at DESC LIMIT {_MOST}"  # noqa: S608 - a number of our own
_WAIT_SECONDS = 1

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_campaign(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the workspace's campaigns by name; folders where a path is begun."""
    try:
        names = [] if "/" in incomplete else list_campaigns(_find_workspace(context))
    except Exception:  # noqa: BLE001 - whatever it is, the command itself will say it
        names = []
    found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="dir")]


def complete_path(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete files and folders, for what may be an s3:// address or a glob as well."""
    return [CompletionItem(incomplete, type="file")]


def complete_run(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the ledger's runs, the newest first."""
    try:
        names = _read_runs(context)
    except Exception:  # noqa: BLE001 - as above
        names = []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _find_workspace(context: click.Context) -> Path:
    given = find_given(context, "workspace") or os.environ.get("MAILRUN_WORKSPACE")
    return Path(given or find_workspace(None)).absolute()


def _read_runs(context: click.Context) -> list[str]:
    from engine.settings import load_settings  # noqa: PLC0415 - for runs alone, not for every completion

    flags = {name: find_given(context, name) for name in ("store", "ledger")}
    url = load_settings(_find_workspace(context), **flags).ledger_url
    if path := re.match(r"sqlite(?:\+\w+)?:///([^?]+)", url):
        import sqlite3  # noqa: PLC0415 - as above

        with closing(sqlite3.connect(f"file:{quote(path[1])}?mode=ro", uri=True, timeout=_WAIT_SECONDS)) as file:
            return [name for (name,) in file.execute(_RUNS)]
    import psycopg  # noqa: PLC0415 - as above

    with psycopg.connect(re.sub(r"^postgres\w*(\+\w+)?:", "postgresql:", url), connect_timeout=_WAIT_SECONDS) as server:
        return [name for (name,) in server.execute(_RUNS)]
