"""The report of a run: the page of `mailrun report`, from the figures that were counted when events were processed."""

from engine.dashboard.answers import (
    FRAMED_POLICY,
    FRAMING_POLICY,
    DocumentPage,
    PageAnswer,
    PageQuery,
    TemplatePage,
    make_missing_page,
)
from engine.dashboard.run_actions import make_run_head
from engine.report.figures.document import Figures
from engine.report.figures.figures_file import read_figures
from engine.report.figures.opt_outs import read_unsubscribes
from engine.report.run_accounts import require_run
from engine.report.run_report.report_page import render_report
from engine.workspace import Workspace


def read_report(workspace: Workspace, request: PageQuery) -> TemplatePage:
    """Read the page with the report in a frame, or how to make it."""
    run = require_run(workspace.ledger, request.run)
    figures = read_figures(workspace.store, run.name)
    values = {
        "head": make_run_head(run),
        "tab": "report",
        "made_at": figures.made_at if figures else None,
        "opted_out": count_later_opt_outs(workspace, figures) if figures else 0,
    }
    return TemplatePage(template="report.html", title=f"Report: {run.name}", values=values, policy=FRAMING_POLICY)


def count_later_opt_outs(workspace: Workspace, figures: Figures) -> int:
    """Count recipients who opted out by a link since the figures were counted: a click counts nothing again."""
    return max(0, read_unsubscribes(workspace.ledger, figures.run).total - figures.unsubscribes.total)


def read_report_document(workspace: Workspace, request: PageQuery) -> PageAnswer:
    """Read the report itself."""
    run = require_run(workspace.ledger, request.run)
    figures = read_figures(workspace.store, run.name)
    if figures is None:
        return make_missing_page("There is no report of this run yet.")
    return DocumentPage(body=render_report(figures).encode(), policy=FRAMED_POLICY, frames="SAMEORIGIN")
