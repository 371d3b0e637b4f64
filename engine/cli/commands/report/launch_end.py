"""The report at the end of a launch. It never fails the launch, and takes a bounded time."""

import threading

from engine.ledger.schema import RunState
from engine.logs import get_logger
from engine.on_demand import OnDemand
from engine.report.accounts import Accounts
from engine.run.send.work import Launched
from engine.workspace import Workspace

log = get_logger()

# How long a launch waits for the report, in seconds. One that was stopped may be killed soon: Kubernetes waits 30.
PATIENCE = {RunState.FINISHED: 60.0, RunState.PAUSED: 5.0, RunState.CANCELLED: 5.0}
# Imported when the run has ended: a launch starts faster without them.
_mark_figures = OnDemand("engine.report.figures.figures_file:mark_figures")
_read_figures = OnDemand("engine.report.figures.figures_file:read_figures")
_refresh_figures = OnDemand("engine.report.figures.figures_file:refresh_figures")
_write_report = OnDemand("engine.report.run_report.report_file:write_report")


def write_at_end(workspace: Workspace, launched: Launched) -> str | None:
    """Count the figures of a run and write its report, if this process has ended the run.

    Args:
        workspace: whose run it is; open.
        launched: how the launch ended.

    Returns:
        The report's place, for people; None where another worker still sends, or the report could not be written.
    """
    accounts = launched.accounts
    if launched.sent_now:
        _mark_figures(workspace.store, accounts.run)  # so that they are counted later if they are not now
    patience = PATIENCE.get(RunState(accounts.state))
    if not (workspace.settings.report_at_end and launched.sent_now) or patience is None or accounts.workers:
        return None
    places: list[str] = []
    thread = threading.Thread(target=_write, args=(workspace, accounts, places), daemon=True, name="report")
    thread.start()
    thread.join(patience)
    if thread.is_alive():
        _warn(accounts.run, f"it takes more than {patience:.0f} seconds")
    return places[0] if places else None


def _write(workspace: Workspace, accounts: Accounts, places: list[str]) -> None:
    store, name = workspace.store, accounts.run
    try:
        if _refresh_figures(workspace.ledger, store, workspace.clock, [name], is_forced=True) and (
            figures := _read_figures(store, name)
        ):
            places.append(_write_report(store, figures))
    except Exception as error:  # noqa: BLE001 - the run has ended as it should
        _warn(name, f"{type(error).__name__}: {error}")


def _warn(run: str, what: str) -> None:
    log.warning("report.not_written", run=run, what=what, note=f"to write it: mailrun report {run}")
