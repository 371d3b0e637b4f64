"""The newest preview of a run's campaign: its gallery in a frame that can do nothing but show it."""

from pathlib import Path

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
from engine.report.run_accounts import require_run
from engine.run.prepare.preview import GALLERY
from engine.workspace import Workspace

_SHELF = "previews"


def read_preview(workspace: Workspace, request: PageQuery) -> TemplatePage:
    """Read the page with the frame, or how to make a preview."""
    run = require_run(workspace.ledger, request.run)
    values = {
        "head": make_run_head(run),
        "tab": "preview",
        "campaign": request.names["campaign"],
        "has_gallery": _find_gallery(workspace, run.name).is_file(),
    }
    return TemplatePage(template="preview.html", title=f"Preview: {run.name}", values=values, policy=FRAMING_POLICY)


def read_gallery(workspace: Workspace, request: PageQuery) -> PageAnswer:
    """Read the gallery itself."""
    run = require_run(workspace.ledger, request.run)
    gallery = _find_gallery(workspace, run.name)
    if not gallery.is_file():
        return make_missing_page("There is no preview of this campaign.")
    return DocumentPage(body=gallery.read_bytes(), policy=FRAMED_POLICY, frames="SAMEORIGIN")


def _find_gallery(workspace: Workspace, run: str) -> Path:
    """Return the path of the newest preview of a run's campaign; the name is the ledger's, not the request's."""
    return workspace.store.local_folder / _SHELF / run.partition("/")[0] / GALLERY
