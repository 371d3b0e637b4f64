"""What went wrong in a run: recipients that were refused, failed or are in doubt, by cause, with masked examples."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from engine.dashboard.answers import PageQuery, TemplatePage
from engine.dashboard.recent_errors import RecentErrors, read_recent_errors
from engine.dashboard.run_actions import make_run_head
from engine.ledger.journal import Outcome
from engine.ledger.runs import Run
from engine.report.accounts import Accounts
from engine.report.figures.document import Cause, Figures
from engine.report.figures.figures_file import read_figures
from engine.report.run_accounts import require_accounts, require_run
from engine.workspace import Workspace

LOST = (Outcome.REFUSED, Outcome.FAILED, Outcome.IN_DOUBT)
_EFFECTS: Mapping[str, str] = {
    Outcome.REFUSED: "SES permanently rejected this recipient or message.",
    Outcome.FAILED: "The message could not be made, or every attempt failed and SES certainly did not accept it.",
    Outcome.IN_DOUBT: "The message was handed over and no answer came. Settle them with mailrun resolve.",
}


class ErrorGroup(Struct, frozen=True):
    """Recipients with one outcome.

    Attributes:
        outcome: its name.
        effect: what it means, one sentence.
        recipients: how many, now.
        causes: the largest first.
    """

    outcome: str
    effect: str
    recipients: int
    causes: Sequence[Cause]


def read_errors(workspace: Workspace, request: PageQuery) -> TemplatePage:
    """Read the page: the stored figures, and the newest errors where the figures do not have them yet."""
    run = require_run(workspace.ledger, request.run)
    accounts = require_accounts(workspace.ledger, run.name, workspace.store, workspace.clock.now())
    figures = read_figures(workspace.store, run.name)
    recent = None if is_complete(figures, accounts) else read_recent_errors(workspace, run)
    return make_errors(run, accounts, figures, recent)


def is_complete(figures: Figures | None, accounts: Accounts) -> bool:
    """Return whether the stored figures have every error that the ledger counts now."""
    counted = {one.outcome: one.recipients for one in figures.outcomes} if figures else {}
    return all(counted.get(str(outcome), 0) == accounts.count(outcome) for outcome in LOST)


def make_errors(run: Run, accounts: Accounts, figures: Figures | None, recent: RecentErrors | None) -> TemplatePage:
    """Make the page.

    Args:
        run: from the ledger.
        accounts: its counts now.
        figures: as they are stored; None where there are none.
        recent: the newest errors; None where the figures have all.
    """
    known = {one.outcome: one.reasons for one in figures.outcomes} if figures else {}
    causes = {str(outcome): known.get(str(outcome), ()) for outcome in LOST} if recent is None else recent.causes
    groups = [
        ErrorGroup(str(outcome), _EFFECTS[outcome], accounts.count(outcome), causes.get(str(outcome), ()))
        for outcome in LOST
    ]
    values: dict[str, Any] = {
        "head": make_run_head(run),
        "tab": "errors",
        "groups": groups,
        "recent": recent,
        "made_at": figures.made_at if figures and recent is None else None,
        "bounces": figures.bounces if figures else (),
        "exclusions": figures.exclusions if figures else (),
        "lost": sum(group.recipients for group in groups),
    }
    return TemplatePage(template="errors.html", title=f"Errors: {run.name}", values=values)
