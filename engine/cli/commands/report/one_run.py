"""`mailrun report`."""

from pathlib import Path

from msgspec import to_builtins

from engine.cli.common import Common, with_common
from engine.cli.console import print_json, print_lines, show_page
from engine.cli.opening import open_chosen
from engine.errors import ExitCode, UsageError
from engine.progress import step
from engine.report.figures.figures_file import renew_figures
from engine.report.run_report.answer import make_answer
from engine.report.run_report.report_file import save_report, write_report


@with_common
def report(run: str, common: Common, *, out: Path | None, open_it: bool) -> int:
    """Count the figures of a run, write its report, and print where it is; return the exit code."""
    with open_chosen(common) as workspace:
        store = workspace.store
        if open_it and out is None and "://" in store.describe("runs"):
            raise UsageError(
                "the report is in a bucket, and a browser opens files of this machine",
                where="--open",
                remedy="write it to a file as well: --out report.html --open",
            )
        with step("counting the figures"):
            figures = renew_figures(workspace.ledger, store, workspace.clock, run)
        place = write_report(store, figures) if out is None else save_report(out, figures)
    if common.json:
        print_json({"report": place} | to_builtins(figures))
    else:
        answer = make_answer(figures)
        print_lines(f"{run}: {answer.headline}", f"report: {place}")
    if open_it:
        show_page(Path(place))
    return ExitCode.FINISHED
