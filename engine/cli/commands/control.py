"""`mailrun pause`, `resume` and `cancel`."""

from engine.cli.advice import describe_pause
from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines
from engine.cli.opening import open_chosen
from engine.cli.suggestions import write_restart
from engine.ledger.schema import RunState
from engine.notify.background import sending_notifications
from engine.report.run_accounts import require_accounts
from engine.run import control
from engine.workspace import Workspace


@with_common
def pause(run: str, reason: str, common: Common) -> None:
    """Pause a run; print its state."""
    with open_chosen(common) as workspace:
        control.pause(workspace.ledger, run, reason=reason, clock=workspace.clock)
        _finish(workspace, run, as_json=common.json)


@with_common
def resume(run: str, common: Common) -> None:
    """Resume a run; print its state."""
    with open_chosen(common) as workspace:
        control.resume(workspace.ledger, run, clock=workspace.clock)
        _finish(workspace, run, as_json=common.json)


@with_common
def cancel(run: str, reason: str, common: Common) -> None:
    """Cancel a run; print its state."""
    with open_chosen(common) as workspace:
        control.cancel(workspace.ledger, run, reason=reason, clock=workspace.clock)
        _finish(workspace, run, as_json=common.json)


def _finish(workspace: Workspace, name: str, *, as_json: bool) -> None:
    with sending_notifications(workspace.settings, workspace.ledger, workspace.store, workspace.clock):
        _print_state(workspace, name, as_json=as_json)


def _print_state(workspace: Workspace, name: str, *, as_json: bool) -> None:
    accounts = require_accounts(workspace.ledger, name, workspace.store, workspace.clock.now())
    restart = write_restart(name, sandbox=accounts.sandbox)
    if as_json:
        print_json(accounts.to_json())
        return
    print_lines(f"{name} is {describe_pause(accounts) if accounts.reason else accounts.state}")
    if accounts.state == RunState.SENDING and not accounts.workers:
        print_lines("no worker is sending this run now", f"next: {restart}")
