"""Fixtures of whole stories."""

from pathlib import Path

import pytest
from support.postgres import Cluster
from support.soak import SOAK


@pytest.fixture(params=["postgresql", "sqlite"] if SOAK else ["postgresql"])
def ledger_url(request: pytest.FixtureRequest) -> str:
    """The URL of a ledger without rows in PostgreSQL: a world's own ledger is in SQLite, as most stories have it."""
    if request.param == "sqlite":
        folder: Path = request.getfixturevalue("tmp_path")
        return f"sqlite:///{folder}/ledger.db"
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.make_ledger()
