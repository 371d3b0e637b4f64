"""Completions for RUN.

The ledger is only read, with its own driver: opening it would create or migrate it.
"""

import re
import sqlite3
from contextlib import closing
from urllib.parse import quote

import click
from click.shell_completion import CompletionItem

from engine.cli.completion.campaigns import find_named_workspace
from engine.cli.suggestions import find_given
from engine.on_demand import OnDemand
from engine.settings import load_settings

WAIT_SECONDS = 1
_MOST = 500
_RUNS = f"SELECT name FROM run ORDER BY created_at DESC LIMIT {_MOST}"  # noqa: S608 - a number of our own
_read_server = OnDemand("engine.cli.completion.postgres:read_names")  # the driver of SQLite needs no library


def complete_run(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the ledger's runs, the newest first."""
    try:
        names = _read_runs(context)
    except Exception:  # noqa: BLE001 - the command itself reports any error
        names = []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _read_runs(context: click.Context) -> list[str]:
    flags = {name: find_given(context, name) for name in ("store", "ledger")}
    url = load_settings(find_named_workspace(context), **flags).ledger_url
    if path := re.match(r"sqlite(?:\+\w+)?:///([^?]+)", url):
        with closing(sqlite3.connect(f"file:{quote(path[1])}?mode=ro", uri=True, timeout=WAIT_SECONDS)) as file:
            return [name for (name,) in file.execute(_RUNS)]
    names: list[str] = _read_server(re.sub(r"^postgres\w*(\+\w+)?:", "postgresql:", url), _RUNS, WAIT_SECONDS)
    return names
