"""Temporary folders: private, locked by their maker, cleared away after it, and a clear error where there are none."""

import fcntl
import os
import re
import tempfile
from pathlib import Path

import pytest

from engine.errors import ConfigurationError
from engine.ledger.database import open_ledger
from engine.system import temporary

NOTHING = Path("/proc/nothing")  # not even root can make a file there


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    around = tmp_path / "temporary"
    around.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(around))
    for name in ("TMPDIR", "SQLITE_TMPDIR"):
        monkeypatch.setenv(name, str(around))
    return around


def make_unusable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(NOTHING)])


def test_temporary_folder_is_private_and_removed(own_temporary_folder: Path) -> None:
    with temporary.make_temporary_folder() as folder:
        assert folder.parent == own_temporary_folder
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "object").write_bytes(b"x")
        assert temporary.remove_abandoned() == 0
        assert (folder / "object").exists()
    assert not list(own_temporary_folder.iterdir())


def test_a_folder_that_is_removed_before_it_is_locked_is_made_again(
    own_temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, made = Path.mkdir, list[Path]()

    def make_then_prune(self: Path, mode: int = 0o777) -> None:
        make(self, mode)
        made.append(self)
        if len(made) == 1:
            assert temporary.remove_abandoned() == 1

    monkeypatch.setattr(Path, "mkdir", make_then_prune)
    with temporary.make_temporary_folder() as folder:
        assert [folder] == made[1:] == list(own_temporary_folder.iterdir())


def test_without_a_temporary_folder_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    make_unusable(monkeypatch)
    with pytest.raises(ConfigurationError, match="MAILRUN_SCRATCH") as error, temporary.make_temporary_folder():
        pass
    assert (error.value.exit_code, error.value.where) == (78, "TMPDIR")


def test_what_a_killed_process_left_is_removed_and_nothing_else(own_temporary_folder: Path) -> None:
    left = own_temporary_folder / f".mailrun.{'a' * 32}"
    live = own_temporary_folder / f".mailrun.{'b' * 32}"
    others = [own_temporary_folder / name for name in (".mailrun", "mailrun", ".mailrun.notes", f"mailrun.{'a' * 32}")]
    for folder in (left, live, *others):
        folder.mkdir()
        (folder / "object").write_bytes(b"x")
    (own_temporary_folder / f".mailrun.{'c' * 32}").symlink_to(others[0])
    lock = os.open(live, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert temporary.remove_abandoned() == 1
    os.close(lock)
    assert not left.exists()
    assert all((folder / "object").exists() for folder in (live, *others))
    assert temporary.remove_abandoned() == 1


def test_scratch_is_where_temporary_files_go_also_those_of_child_processes(tmp_path: Path) -> None:
    temporary.use_scratch(tmp_path / "scratch")
    with temporary.make_temporary_folder() as folder:
        assert folder.parent == tmp_path / "scratch" / "tmp"
    assert (os.environ["TMPDIR"], os.environ["SQLITE_TMPDIR"]) == (str(folder.parent), str(folder.parent))


def test_a_scratch_folder_that_cannot_be_written_is_named() -> None:
    with pytest.raises(ConfigurationError, match="scratch folder cannot be written") as error:
        temporary.use_scratch(NOTHING)
    assert (error.value.exit_code, error.value.where) == (78, str(NOTHING))


@pytest.mark.parametrize(("usable", "store"), [(True, 0), (False, 2)])
def test_sqlite_sorts_in_memory_where_there_is_no_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, usable: bool, store: int
) -> None:
    if not usable:
        make_unusable(monkeypatch)
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    try:
        with ledger.read() as tx:
            assert tx.exec_driver_sql("PRAGMA temp_store").scalar_one() == store
    finally:
        ledger.close()


def test_temporary_files_are_made_in_one_place_alone() -> None:
    """Every other use of Python's `tempfile` would have neither the lock nor the error."""
    engine = Path(temporary.__file__).parent
    users = {
        path.relative_to(engine).as_posix()
        for path in engine.rglob("*.py")
        if re.search(r"^\s*(?:import|from) tempfile\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert users == {"temporary.py"}
