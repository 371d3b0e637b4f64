"""The store: a file or a run is there whole or not at all."""

import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest

from engine.errors import ConfigurationError, MailrunError, PausedError
from engine.store.files import digest_bytes, digest_file, translate_os_errors, write_file
from engine.store.folder import FolderStore
from engine.store.keys import UNSUBSCRIBE_KEY, read_key
from engine.store.sealed import discard_sealed, list_sealed

NAME = "welcome/1"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def fail_with(number: int) -> None:
    raise OSError(number, os.strerror(number))


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_written_file_is_whole_and_its_owner_s_alone(tmp_path: Path):
    path = tmp_path / "new" / "a.bin"
    write_file(path, b"x" * 100_000)
    assert path.read_bytes() == b"x" * 100_000
    assert (mode_of(path), mode_of(path.parent)) == (0o600, 0o700)
    assert names_in(path.parent) == {"a.bin"}


def test_a_file_written_again_is_replaced(tmp_path: Path):
    write_file(tmp_path / "a", b"long before")
    write_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_leftovers_of_killed_writers_are_removed_and_live_files_stay(store: FolderStore):
    folder, digits = store.local_folder / "runs" / "a" / "1" / "staged", "0123456789abcdef" * 2
    folder.mkdir(parents=True)
    left, own, written = folder / f".x.parquet.{digits}", folder / "x.parquet", folder / f".y.parquet.{digits}"
    staged, probe = store.local_folder / "runs" / "a" / f".2.{digits}", store.local_folder / f".probe-{digits}"
    (staged / "plan").mkdir(parents=True)
    for path in (left, own, written, staged / "plan" / "recipients-0000.parquet", probe):
        path.write_bytes(b"p7@b.example")
    with written.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert store.remove_unfinished() == 3
        assert (left.exists(), staged.exists(), probe.exists()) == (False, False, False)
        assert (own.exists(), written.exists()) == (True, True)
    assert store.remove_unfinished() == 1


def test_a_store_opens_while_another_process_prunes(store: FolderStore, monkeypatch: pytest.MonkeyPatch):
    touch, removed = Path.touch, list[int]()

    def touch_then_prune(self: Path, mode: int = 0o666) -> None:
        touch(self, mode)
        removed.append(store.remove_unfinished())

    monkeypatch.setattr(Path, "touch", touch_then_prune)
    FolderStore(store.local_folder)
    assert removed == [1]


def test_a_writer_starts_again_where_its_file_was_removed_as_a_leftover(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
):
    lock, taken = fcntl.flock, list[Path]()

    def steal(descriptor: int, flags: int) -> None:
        if not taken:
            taken.extend(store.local_folder.glob(".a.*"))
            taken[0].unlink()
        lock(descriptor, flags)

    monkeypatch.setattr(fcntl, "flock", steal)
    store.write("a", b"whole")
    assert (store.read("a"), len(taken)) == (b"whole", 1)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_failed_write_keeps_the_old_file_and_leaves_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    write_file(tmp_path / "a", b"before")
    monkeypatch.setattr(os, "fsync", lambda _: fail_with(number))
    with pytest.raises(PausedError):
        write_file(tmp_path / "a", b"after")
    assert (tmp_path / "a").read_bytes() == b"before"
    assert names_in(tmp_path) == {"a"}


def test_a_name_that_a_folder_has_is_not_overwritten(tmp_path: Path):
    (tmp_path / "a").mkdir()
    with pytest.raises(ConfigurationError):
        write_file(tmp_path / "a", b"x")
    assert names_in(tmp_path) == {"a"}


def test_a_file_that_is_new_and_fails_is_not_there(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        write_file(tmp_path / "file" / "a", b"x")
    assert names_in(tmp_path) == {"file"}


@pytest.mark.parametrize(
    ("number", "kind", "word"),
    [
        (errno.ENOSPC, PausedError, "full"),
        (errno.EDQUOT, PausedError, "full"),
        (errno.EIO, PausedError, "has I/O errors"),
        (errno.EACCES, ConfigurationError, "Permission denied.*write access"),
        (errno.EROFS, ConfigurationError, "Read-only"),
        (errno.ENOENT, ConfigurationError, "No such file"),
    ],
)
def test_every_operating_system_error_becomes_a_mailrun_error(number: int, kind: type[MailrunError], word: str):
    with pytest.raises(kind, match=word) as raised, translate_os_errors(Path("/store/file")):
        fail_with(number)
    assert raised.value.where == "/store/file"


def test_errors_not_from_the_operating_system_are_not_translated():
    with pytest.raises(KeyError), translate_os_errors(Path("x")):
        raise KeyError("a bug")


def test_a_file_s_digest_is_that_of_its_bytes(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    assert digest_file(tmp_path / "a") == digest_bytes(b"abc")
    assert digest_bytes(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# -- the store and its runs --------------------------------------------------------------------------------------------


def test_missing_store_is_made_without_a_trace_of_its_probe(tmp_path: Path):
    made = FolderStore(tmp_path / "a" / "store")
    assert mode_of(made.local_folder) == 0o700
    assert names_in(made.local_folder) == {".gitignore"}


def test_store_that_cannot_be_made_is_reported_with_its_path(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="--store") as raised:
        FolderStore(tmp_path / "file" / "store")
    assert raised.value.where == str(tmp_path / "file" / "store")


def test_a_placed_run_has_all_that_was_staged(store: FolderStore):
    with store.stage(NAME) as staging:
        assert not store.run_folder(NAME).exists()
        (staging / "plan").mkdir()
        (staging / "plan" / "a").write_text("a")
        store.seal(staging, NAME, "d")
        assert not store.run_folder(NAME).exists()
    store.place(NAME, "d")
    assert (store.run_folder(NAME) / "plan" / "a").read_text() == "a"
    assert names_in(store.local_folder / "runs" / "welcome") == {"1"}


def test_first_placed_plan_of_two_stays(store: FolderStore):
    for digest in ("first", "second"):
        with store.stage(NAME) as staging:
            (staging / "who").write_text(digest)
            store.seal(staging, NAME, digest)
    assert list_sealed(store, NAME) == {"first", "second"}
    for digest in ("second", "second", "first", "unknown"):
        store.place(NAME, digest)
    assert (store.run_folder(NAME) / "who").read_text() == "second"
    assert names_in(store.local_folder / "runs" / "welcome") == {"1"}
    discard_sealed(store, NAME, "first")
    discard_sealed(store, NAME, "first")
    assert list_sealed(store, NAME) == set()


def test_what_is_not_sealed_is_removed_also_after_an_error(store: FolderStore):
    def stage_and_fail() -> None:
        with store.stage(NAME) as staging:
            (staging / "a").write_text("a")
            raise KeyError("audience")

    with pytest.raises(KeyError):
        stage_and_fail()
    assert names_in(store.local_folder / "runs" / "welcome") == set()


def test_crashed_staging_is_removed_and_a_live_one_kept(store: FolderStore):
    runs = store.local_folder / "runs" / "welcome"
    abandoned = runs / ".1.abandoned"
    other_run = runs / ".2.abandoned"
    for left in (abandoned, other_run):
        left.mkdir(parents=True)
        (left / "a").write_text("a")
    with store.stage(NAME) as alive, store.stage(NAME) as second:
        assert names_in(runs) == {alive.name, second.name, other_run.name}


def test_a_staging_is_locked_while_its_maker_works(store: FolderStore):
    with store.stage(NAME) as staging:
        other = os.open(staging, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)
        assert mode_of(staging) == 0o700


# -- its key -----------------------------------------------------------------------------------------------------------


def test_the_unsubscribe_key_is_made_once_and_then_stays(store: FolderStore):
    key, made = read_key(store, UNSUBSCRIBE_KEY)
    assert made
    assert len(key) >= 32
    assert read_key(store, UNSUBSCRIBE_KEY) == (key, False)
    assert mode_of(store.local_folder / "unsubscribe.key") == 0o600
    assert names_in(store.local_folder) == {".gitignore", "unsubscribe.key"}


def test_two_stores_have_different_keys(store: FolderStore, tmp_path: Path):
    assert read_key(store, UNSUBSCRIBE_KEY)[0] != read_key(FolderStore(tmp_path / "b"), UNSUBSCRIBE_KEY)[0]


def test_a_file_is_created_once(store: FolderStore):
    assert store.create("a/b", b"first")
    assert not store.create("a/b", b"second")
    assert store.read("a/b") == b"first"
    assert names_in(store.local_folder / "a") == {"b"}
