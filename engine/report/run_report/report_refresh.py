"""Reports follow the figures of their runs: written again when events were processed. Imports nothing heavy."""

from collections.abc import Iterable

from engine.clock import Clock
from engine.ledger.database import Ledger
from engine.logs import get_logger
from engine.on_demand import OnDemand
from engine.report.figures.figures_file import read_figures, refresh_figures
from engine.report.run_report.report_place import is_written
from engine.store.port import Store

_write_report = OnDemand("engine.report.run_report.report_file:write_report")  # Jinja is slow to import
log = get_logger()


def refresh_reports(ledger: Ledger, store: Store, clock: Clock, runs: Iterable[str]) -> None:
    """Count the figures of runs as `refresh_figures`, and write their reports again, where there are any; never fails.

    Args:
        ledger: has the runs.
        store: has their files.
        clock: now.
        runs: names.
    """
    for run in refresh_figures(ledger, store, clock, runs):
        try:
            figures = read_figures(store, run) if is_written(store, run) else None
            if figures is not None:
                _write_report(store, figures)
        except Exception as error:  # noqa: BLE001 - logged: the command has done its work
            what, note = f"{type(error).__name__}: {error}", f"to write it: mailrun report {run}"
            log.warning("report.not_written", run=run, what=what, note=note)
