"""The guard of the pure tests: what it treats as I/O, and that both folders of pure tests have it."""

import multiprocessing
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase
from support.paths import ROOT, TESTS
from support.purity import LISTENER, find_change, find_io

from engine.campaign import locales


def resolve_name() -> None:
    socket.getaddrinfo("localhost", 1)


def connect() -> None:
    with socket.socket() as opened:
        opened.connect(("127.0.0.1", 1))


IO: list[Callable[[], object]] = [
    lambda: Path("/etc/hostname").read_bytes(),
    (ROOT / "README.md").read_bytes,
    lambda: Path(locales.__file__).write_bytes(b""),
    lambda: Path("/tmp/a").mkdir(),  # noqa: S108 - it is never made
    lambda: list(Path("/etc").iterdir()),
    tempfile.mkdtemp,
    lambda: os.replace("/nowhere/a", "/nowhere/b"),  # noqa: PTH105 - the call itself
    lambda: subprocess.run(["true"], check=True),  # noqa: S607 - it is never started
    lambda: multiprocessing.get_context("spawn").Process(target=print).start(),
    lambda: multiprocessing.get_context("fork").Process(target=print).start(),
    lambda: sqlite3.connect("/nowhere/ledger.db"),
    resolve_name,
    connect,
]


@pytest.mark.parametrize("act", IO)
def test_io_in_a_pure_test_fails_it_before_anything_is_done(act: Callable[[], object]) -> None:
    with pytest.raises(pytest.fail.Exception, match="a pure test does I/O: "), LISTENER.watch(find_io):
        act()


def test_io_in_a_thread_of_a_pure_test_fails_it_at_its_end() -> None:
    thread = Thread(target=lambda: Path("/etc/hostname").read_bytes())

    def run() -> None:
        with LISTENER.watch(find_io):
            thread.start()
            thread.join()

    with pytest.raises(pytest.fail.Exception, match="open '/etc/hostname'"):
        run()


def test_data_of_packages_and_memory_may_be_read() -> None:
    with LISTENER.watch(find_io):
        Path(locales.__file__).read_bytes()
        zoneinfo.ZoneInfo.no_cache("Asia/Ho_Chi_Minh")
        sqlite3.connect(":memory:").close()


def test_an_import_may_read_and_change_nothing() -> None:
    with LISTENER.watch(find_change):
        Path("/etc/hostname").read_bytes()
    with pytest.raises(pytest.fail.Exception), LISTENER.watch(find_change):
        tempfile.mkdtemp()


def test_hypothesis_keeps_what_fails_and_what_it_calls_may_not(tmp_path: Path) -> None:
    database = DirectoryBasedExampleDatabase(tmp_path / "examples")

    @settings(database=database, max_examples=1)
    @given(st.integers())
    def read(_number: int) -> None:
        Path("/etc/hostname").read_bytes()

    with LISTENER.watch(find_io):
        database.save(b"key", b"value")
        with pytest.raises(pytest.fail.Exception, match="open '/etc/hostname'"):
            read()
    assert set(database.fetch(b"key")) == {b"value"}


@pytest.mark.parametrize("folder", ["unit", "property"])
def test_each_folder_of_pure_tests_has_the_purity_guard(folder: str, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((TESTS / folder / "conftest.py").read_text(encoding="utf-8"))
    (tmp_path / "test_a.py").write_text("def test_with_a_file(tmp_path): pass\n\n\ndef test_without(): pass\n")
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:randomly",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            tmp_path,
            tmp_path,
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed, 1 error" in ended.stdout, ended.stdout
    assert "a pure test does I/O: os.mkdir" in ended.stdout
