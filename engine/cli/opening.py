"""Opens the workspace that the options of the command line name."""

import os
from pathlib import Path

from engine.cli.common import Common
from engine.cli.suggestions import remember_workspace
from engine.settings import Settings, list_variables
from engine.system.environment import check_environment
from engine.workspace import Workspace, connect
from engine.workspace import read_settings as read_settings_of
from engine.workspace_folder import find_workspace


def open_chosen(common: Common, around: Path | None = None) -> Workspace:
    """Open the workspace that the command line names; arguments and errors as `read_settings`."""
    return connect(read_settings(common, around))


def read_settings(common: Common, around: Path | None = None) -> Settings:
    """Read the settings of the workspace that the command line names.

    Args:
        common: the common options of the command line.
        around: a campaign folder; its workspace is used where no option names one.

    Raises:
        UsageError: there is no workspace.
        ConfigurationError: a setting is wrong or unknown.
    """
    check_environment(os.environ, list_variables())  # a misspelt MAILRUN_WORKSPACE, before one is looked for
    workspace = (common.workspace or find_workspace(around)).absolute()
    remember_workspace(workspace)
    return read_settings_of(workspace, store=common.store, ledger=common.ledger)
