"""The ledger in an SQLite file: its permissions, and the errors when it cannot be used."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from support.feedback import make_run
from support.second_thread import run_in_thread

from engine.errors import ConfigurationError, DataError, MailrunError, PausedError
from engine.ledger import migrate, runs, snapshots
from engine.ledger.database import open_ledger, translate_database_errors


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A sound ledger, closed."""
    path = tmp_path / "store" / "ledger.db"
    open_ledger(url_of(path)).close()
    return path


def test_the_ledger_and_its_side_files_are_its_owner_s_alone(tmp_path: Path):
    old = os.umask(0o022)
    path = tmp_path / "store" / "ledger.db"
    ledger = open_ledger(url_of(path))
    with ledger.write() as tx:
        tx.execute(text("UPDATE run SET reason = 'x'"))
        modes = {entry.name: entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()}
    ledger.close()
    os.umask(old)
    assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_every_commit_reaches_the_disk(file: Path):
    ledger = open_ledger(url_of(file))
    with ledger.read() as tx:
        assert tx.execute(text("PRAGMA synchronous")).scalar_one() == 2
        assert tx.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert tx.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
    ledger.close()


def test_a_reader_never_waits_for_a_writer_and_sees_what_was_before(file: Path):
    ledger = open_ledger(url_of(file))

    def read() -> str:
        with ledger.read() as reading:
            return str(reading.execute(text("SELECT version_num FROM alembic_version")).scalar_one())

    with ledger.write() as writing:
        writing.execute(text("UPDATE alembic_version SET version_num = 'new'"))
        assert run_in_thread(read) == migrate.HEAD
    ledger.close()


def damage_header(path: Path) -> None:
    path.write_bytes(b"this is not a database " * 100)


def damage_pages(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize("damage", [damage_header, damage_pages, cut])
def test_a_damaged_ledger_is_named_and_left_as_it_is(file: Path, damage: Callable[[Path], None]):
    damage(file)
    before = file.read_bytes()
    with pytest.raises(DataError, match=r"damaged.*backup") as raised:
        open_ledger(url_of(file))
    assert str(file) in raised.value.where
    assert file.read_bytes() == before


def test_a_database_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE run (distance REAL)")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        open_ledger(url_of(path))
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("run",)]
    assert path.stat().st_size >= len(before)


def test_unwritable_ledger_is_reported_with_its_path(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"cannot be written.*--ledger") as raised:
        open_ledger(url_of(tmp_path / "file" / "ledger.db"))
    assert raised.value.where == str(tmp_path / "file" / "ledger.db")


@pytest.mark.parametrize("url", ["", "ledger.db", "sqlite://", "mysql://u:secret@h/db"])
def test_url_without_an_sqlite_file_is_refused_with_the_right_form(url: str):
    with pytest.raises(ConfigurationError, match=r"sqlite:////absolute/path/ledger\.db") as raised:
        open_ledger(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("said", "kind", "word"),
    [
        ("database or disk is full", PausedError, "full"),
        ("disk I/O error", PausedError, "has I/O errors"),
        ("database is locked", PausedError, "another process"),
        ("database disk image is malformed", DataError, "damaged"),
        ("file is not a database", DataError, "damaged"),
        ("attempt to write a readonly database", ConfigurationError, "cannot be used"),
        ("no such table: run", ConfigurationError, "cannot be used"),
    ],
)
def test_every_database_error_becomes_a_mailrun_error(tmp_path: Path, said: str, kind: type[MailrunError], word: str):
    ledger = open_ledger(url_of(tmp_path / "ledger.db"))
    with ledger.write() as tx:
        tx.execute(text(f"CREATE TRIGGER t BEFORE UPDATE ON alembic_version BEGIN SELECT RAISE(ABORT, '{said}'); END"))
    with pytest.raises(kind, match=word) as raised, ledger.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = 'x'"))
    assert raised.value.where == ledger.url
    assert raised.value.remedy
    ledger.close()


def test_errors_not_from_the_database_are_not_translated():
    with pytest.raises(KeyError), translate_database_errors("here"):
        raise KeyError("a bug")


def test_ledger_that_is_opened_twice_in_one_process_loses_no_commit(tmp_path: Path):
    """A file that is closed ends all locks of its process: another process would then remove the log in use."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    look = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM run').fetchone()[0])"

    def count_in_another_process() -> int:
        done = subprocess.run(
            [sys.executable, "-c", look, str(tmp_path / "ledger.db")], capture_output=True, check=True
        )
        return int(done.stdout)

    first = open_ledger(url)
    snapshots.list_runs(first)
    open_ledger(url).close()
    assert count_in_another_process() == 0
    with first.write() as tx:
        runs.insert_run(tx, make_run(), lease_rows=[])
    assert count_in_another_process() == 1
    first.close()
