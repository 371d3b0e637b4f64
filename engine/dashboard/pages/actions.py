"""Pause, resume and approve: a page that asks, and a form that does it and is recorded as a decision."""

from engine.dashboard.answers import OtherPage, PageAnswer, PageQuery, TemplatePage, make_missing_page
from engine.dashboard.run_actions import ACTIONS, RunAction, describe_arguments, make_run_head
from engine.dashboard.templating import make_run_path
from engine.errors import UsageError
from engine.ledger.runs import OVER, Run
from engine.report.run_accounts import require_run
from engine.workspace import Workspace

_CONFLICT = 409


def read_action(workspace: Workspace, request: PageQuery) -> TemplatePage:
    """Read the page that asks whether to do it."""
    action = ACTIONS.get(request.names["action"])
    if action is None:
        return make_missing_page("A run has no such page.")
    return make_action_page(require_run(workspace.ledger, request.run), action)


def do_action(workspace: Workspace, request: PageQuery) -> PageAnswer:
    """Do it, as the command does; the decision is recorded with its author."""
    action = ACTIONS.get(request.names["action"])
    if action is None:
        return make_missing_page("A run has no such action.")
    run = require_run(workspace.ledger, request.run)
    arguments = describe_arguments(action, request.form)
    try:
        action.change(workspace.ledger, run.name, clock=workspace.clock, who=request.who, **arguments)
    except UsageError as error:  # the run has ended meanwhile
        return make_action_page(require_run(workspace.ledger, request.run), action, problem=error.what)
    return OtherPage(make_run_path(run.name))


def make_action_page(run: Run, action: RunAction, problem: str = "") -> TemplatePage:
    """Make the page that asks.

    Args:
        run: as it is now.
        action: what to do.
        problem: why it was not done, one sentence; empty before it was tried.
    """
    values = {
        "head": make_run_head(run),
        "tab": action.name,
        "action": action,
        "is_possible": run.state not in OVER,
        "problem": problem,
    }
    title = f"{action.label}: {run.name}"
    return TemplatePage(template="action.html", title=title, values=values, status=_CONFLICT if problem else 200)
