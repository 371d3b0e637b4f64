"""What every command does first: read the common options, set up logs, and show progress."""

import gc
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from engine.cli.steps import report_steps
from engine.cli.suggestions import find_given
from engine.logs import configure_logs
from engine.system.given_paths import look_at


class Common(Struct, frozen=True, kw_only=True):
    """Where a command works, and how it reports."""

    workspace: Path | None
    store: str | None
    ledger: str | None
    json: bool
    verbose: bool


def with_common(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Give a command's function its common options as one `common` argument.

    The same options are accepted before the command's name; those after it take precedence.
    """

    @wraps(command)
    def run(*, workspace: Path | None, store: None, ledger: None, as_json: bool, verbose: bool, **rest: Any) -> Any:
        del store, ledger, as_json, verbose  # given before the command's name
        gc.freeze()  # what has been imported stays
        gc.set_threshold(200_000, 20, 100)
        common = _gather(click.get_current_context(), workspace)
        configure_logs(verbose=common.verbose)
        with report_steps():
            return command(common=common, **rest)

    return run


def _gather(context: click.Context, workspace: Path | None) -> Common:
    workspace = find_given(context, "workspace") or workspace
    if workspace is not None:
        look_at(workspace, "--workspace")
    return Common(
        workspace=workspace,
        store=find_given(context, "store"),
        ledger=find_given(context, "ledger"),
        json=bool(find_given(context, "as_json")),
        verbose=bool(find_given(context, "verbose")),
    )
