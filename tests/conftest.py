"""Fixtures for every test."""

import compileall
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from support import s3
from support.clock import VirtualClock
from support.paths import ROOT
from support.postgres import Cluster, run_cluster
from support.soak import SOAK
from support.totals import TOTALS
from support.world import World, open_world

from engine.ledger.database import open_ledger
from engine.logs import reset_logs

# Commands are started as a terminal starts them; a shell in the background would have SIGINT ignored, nohup SIGHUP.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
os.environ["PYTHONFAULTHANDLER"] = "1"  # a command that hangs is aborted, and prints where
settings.register_profile("fast", max_examples=10, deadline=None)  # `make fast`
settings.register_profile("default", max_examples=50, deadline=None)
settings.register_profile("soak", max_examples=1000, deadline=None)
settings.load_profile("soak" if SOAK else "default")


def pytest_configure(config: pytest.Config) -> None:
    """Compile the engine once: with PYTHONDONTWRITEBYTECODE each of the suite's 1,500 commands would compile it."""
    if not hasattr(config, "workerinput"):  # before pytest-xdist starts its workers
        compileall.compile_dir(ROOT / "engine", quiet=2)


@pytest.fixture(autouse=True)
def _logs_as_they_begin() -> Iterator[None]:
    """A command that a test runs in this process sets up its logs; the next test begins without them."""
    yield
    reset_logs()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A workspace and a sandbox without limits."""
    with open_world(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL cluster that all tests of a session share, each with its own database."""
    with run_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The URL of moto's server, which all tests of a session share: each has its own prefix, and its own queue."""
    with s3.run_moto() as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger without rows in a SQLite file, which tests copy: its tables are made once."""
    file = tmp_path_factory.mktemp("ledger") / "ledger.db"
    open_ledger(f"sqlite:///{file}").close()
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a ledger without rows, once in each kind of database."""
    if request.param == "sqlite":
        file = shutil.copy(request.getfixturevalue("sqlite_ledger"), tmp_path / "ledger.db")
        return f"sqlite:///{file}"
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.make_ledger()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, once of each kind; a test of what makes or changes the tables needs it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.make_database()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in TOTALS:
        terminalreporter.write_line(line)
