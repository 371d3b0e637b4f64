"""The Lambda handler's settings: of the environment, or of a folder that is named; never of one that others fill."""

import os
import tempfile
from pathlib import Path

import pytest

from engine.errors import ConfigurationError
from engine.feedback.unsubscribe import lambda_handler
from engine.feedback.unsubscribe.lambda_handler import make_lambda_handler

PLANTED = 'ledger = "sqlite:///planted.db"\n'


@pytest.fixture(autouse=True)
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The process of a function, with hostile files in every place that others can write."""
    for name in [name for name in os.environ if name.startswith("MAILRUN_")]:
        monkeypatch.delenv(name)
    shared = tmp_path / "tmp"
    for folder in (shared, shared / "mailrun", shared / "mailrun" / ".mailrun", tmp_path / "current"):
        folder.mkdir()
        folder.chmod(0o1777)
        (folder / "mailrun.toml").write_text(PLANTED, encoding="utf-8")
        (folder / "campaigns").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    monkeypatch.chdir(tmp_path / "current")
    monkeypatch.setenv("MAILRUN_UNSUBSCRIBE_KEYS", "a-key-that-only-tests-use")
    return shared


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAILRUN_LEDGER", f"sqlite:///{tmp_path / 'ledger.db'}")
    return tmp_path / "ledger.db"


def test_no_settings_are_read_from_the_temporary_or_the_current_folder(function: Path, ledger: Path) -> None:
    make_lambda_handler()
    assert ledger.exists()
    assert not list(function.parent.rglob("planted.db"))
    (own,) = function.glob(".mailrun.*")
    assert own.stat().st_mode & 0o777 == 0o700
    lambda_handler._stack.close()
    assert not own.exists()


def test_opt_outs_are_refused_without_a_durable_ledger() -> None:
    with pytest.raises(ConfigurationError, match="opt-outs would be lost") as error:
        make_lambda_handler()
    assert error.value.where == "MAILRUN_LEDGER"


def test_a_folder_that_is_named_has_its_settings_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = tmp_path / "named"
    workspace.mkdir()
    (workspace / "mailrun.toml").write_text('ledger = "sqlite:///own.db"\n', encoding="utf-8")
    make_lambda_handler(workspace)
    assert (workspace / "own.db").exists()
    (workspace / "own.db").unlink()
    monkeypatch.setenv("MAILRUN_WORKSPACE", str(workspace))
    make_lambda_handler()
    assert (workspace / "own.db").exists()


def test_without_a_temporary_folder_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch, ledger: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/nothing"])
    with pytest.raises(ConfigurationError, match="TMPDIR"):
        make_lambda_handler()
    assert not ledger.exists()
