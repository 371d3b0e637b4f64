"""Printing that never breaks a command. Imports nothing heavy."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from engine.errors import escape_undecodable
from engine.on_demand import OnDemand
from engine.system.streams import is_terminal

_open_in_browser = OnDemand("engine.system.browser:open_in_browser")  # few commands open a page


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout: indented on a terminal, on one line anywhere else."""
    print_lines(json.dumps(document, ensure_ascii=False, indent=2 if is_terminal(sys.stdout) else None))


def print_lines(*lines: str, err: bool = False) -> None:
    """Print sentences; a stream that fails does not fail the command, see system/streams.py."""
    for line in lines:
        click.echo(escape_undecodable(line), err=err)


def show_page(path: Path) -> None:
    """Open a file in the browser; without one, print where the file is."""
    if not _open_in_browser(path):
        print_lines(f"no browser can be opened on this machine: copy {path} to one that has one", err=True)


_output_is_all = False


def mark_output_as_all() -> None:
    """Record that this command only prints: if its output is lost, it has failed."""
    global _output_is_all  # noqa: PLW0603 - of the process
    _output_is_all = True


def is_output_all() -> bool:
    """Return whether this command only prints."""
    return _output_is_all
