"""`mailrun status`."""

import click

from engine.cli import run_output
from engine.cli.common import Common, with_common
from engine.cli.console import mark_output_as_all, print_json, print_lines
from engine.cli.opening import open_chosen
from engine.cli.suggestions import write_command
from engine.on_demand import OnDemand
from engine.report.run_accounts import list_accounts
from engine.workspace import Workspace
from engine.workspace_folder import list_campaigns

_print_run = OnDemand("engine.cli.commands.status.one_run:print_run")  # the model of campaign.toml is slow to import

_watch_runs = OnDemand("engine.cli.commands.status.watch:watch_runs")


@with_common
def status(run: str | None, common: Common, *, outgoing_addresses: bool, watch: bool) -> None:
    """Print the state of one run, or of all; with `watch` again and again."""
    if outgoing_addresses and run is None:
        raise click.UsageError("--outgoing-addresses needs RUN")
    if watch and (common.json or outgoing_addresses):
        raise click.UsageError("--watch cannot be used with --json or --outgoing-addresses")
    mark_output_as_all()
    with open_chosen(common) as workspace:
        if watch:
            _watch_runs(workspace, run)
        elif run is None:
            _print_all(workspace, as_json=common.json)
        else:
            _print_run(workspace, run, as_json=common.json, with_outgoing=outgoing_addresses)


def _print_all(workspace: Workspace, *, as_json: bool) -> None:
    all_accounts = list_accounts(workspace.ledger, workspace.store, workspace.clock.now())
    if as_json:
        print_json({"runs": [accounts.to_json() for accounts in all_accounts]})
    elif all_accounts:
        print_lines(*run_output.list_runs(all_accounts))
    else:
        campaigns = list_campaigns(workspace.settings.workspace)
        launch = [f"next: {write_command('launch', name, '--sandbox')}" for name in campaigns[:1]]
        print_lines("no runs yet", *launch)
