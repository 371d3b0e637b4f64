"""Where the workspace is, and which campaigns it has. Imports nothing heavy, because shell completion uses it."""

import stat
from pathlib import Path

from engine.errors import UsageError

CAMPAIGNS = "campaigns"


def find_workspace(campaign: Path | None) -> Path:
    """Return the workspace around a campaign folder, or else the nearest folder upwards that has `campaigns/`.

    Args:
        campaign: a campaign folder; None where none is named.

    Raises:
        UsageError: there is none, or it is in a folder above this one that every user can write, such as /tmp. No store
            is created in a folder that is not a workspace.
    """
    if campaign is not None and campaign.parent.name == CAMPAIGNS:
        return campaign.parent.parent
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / CAMPAIGNS).is_dir():
            if folder != here and folder.stat().st_mode & stat.S_IWOTH:
                raise UsageError(
                    f"the nearest campaigns/ is in {folder}, where every user of this machine can write",
                    where=str(here),
                    remedy=f"if it is yours, name it: --workspace {folder}",
                )
            return folder
    raise UsageError(
        "there is no workspace here: neither this folder nor any folder above it has campaigns/",
        where=str(here),
        remedy="change into a workspace, name one with --workspace, or create one with mailrun init",
    )


def list_campaigns(workspace: Path) -> list[str]:
    """List the names of a workspace's campaigns in alphabetical order."""
    return sorted(file.parent.name for file in (workspace / CAMPAIGNS).glob("*/campaign.toml"))
