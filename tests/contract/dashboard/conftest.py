"""The dashboard that the tests of a module share."""

from collections.abc import Iterator

import pytest
from support.dashboard import fill_workspace, open_dashboard
from support.sent_runs import open_new_workspace

from engine.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with open_new_workspace(tmp_path_factory.mktemp("dashboard")) as opened:
        fill_workspace(opened)
        yield opened


@pytest.fixture(scope="module")
def url(workspace: Workspace) -> Iterator[str]:
    with open_dashboard(workspace) as opened:
        yield opened
