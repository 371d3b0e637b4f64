"""The page with the report of a run: it says how old the figures are."""

from pathlib import Path

from support.clock import START
from support.dashboard import ask, open_dashboard
from support.sent_runs import add_run, open_new_workspace

from engine.ledger.suppressed.opt_outs import OptOut, OptOutMethod, record_opt_outs
from engine.report.figures.figures_file import refresh_figures

RUN = "welcome/2026-11-24"


def test_opt_outs_since_the_figures_were_counted_are_shown(tmp_path: Path) -> None:
    """A click on the unsubscribe link counts no figures; the page says so until they are counted again."""
    with open_new_workspace(tmp_path / "w") as workspace:
        add_run(workspace, RUN)
        refresh_figures(workspace.ledger, workspace.store, workspace.clock, [RUN], is_forced=True)
        with open_dashboard(workspace) as url:
            before = ask(url, f"/runs/{RUN}/report").text
            with workspace.ledger.write() as tx:
                record_opt_outs(tx, [OptOut(RUN, 0, 3, START, OptOutMethod.ONE_CLICK)])
            after = ask(url, f"/runs/{RUN}/report").text
            refresh_figures(workspace.ledger, workspace.store, workspace.clock, [RUN], is_forced=True)
            again = ask(url, f"/runs/{RUN}/report").text
    assert "unsubscribed since" not in before + again
    assert "1 recipient has unsubscribed since." in after
    assert f"mailrun report {RUN}" in after
