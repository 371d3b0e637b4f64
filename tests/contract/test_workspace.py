"""The library's entry point: a workspace is opened as a command opens it."""

import doctest
from pathlib import Path

import pytest

import engine.workspace
from engine.errors import UsageError
from engine.logs import capture_logs
from engine.report.run_accounts import list_accounts
from engine.workspace import open_workspace


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORKSPACE", "STORE", "LEDGER"):
        monkeypatch.delenv(f"MAILRUN_{name}", raising=False)


def test_workspace_example_of_the_docstring_runs() -> None:
    with capture_logs():
        tried = doctest.testmod(engine.workspace)
    assert (tried.attempted, tried.failed) == (3, 0)


def test_workspace_is_found_around_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "campaigns" / "welcome").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "campaigns" / "welcome")
    with open_workspace() as workspace:
        assert workspace.settings.workspace == tmp_path


def test_workspace_is_the_one_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILRUN_WORKSPACE", str(tmp_path))
    with open_workspace() as workspace:
        assert workspace.settings.workspace == tmp_path


def test_workspace_is_required(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="there is no workspace here"):
        open_workspace()


def test_arguments_of_a_workspace_replace_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILRUN_STORE", "from-the-environment")
    ledger = f"sqlite:///{tmp_path / 'mine.db'}"
    with open_workspace(tmp_path, store="mine", ledger=ledger) as workspace:
        assert list_accounts(workspace.ledger, workspace.store, workspace.clock.now()) == []
    assert (tmp_path / "mine").is_dir()
    assert (tmp_path / "mine.db").is_file()
    assert not (tmp_path / "from-the-environment").exists()
