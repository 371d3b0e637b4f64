"""The ledger's own suppression list, and the migration that makes its table."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from engine.ledger import suppressions
from engine.ledger.database import open_ledger
from engine.ledger.schema import metadata
from engine.ledger.suppressions import Suppression, add_suppressions, iterate_suppressions

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def entry(number: int, topic: str = "") -> Suppression:
    return Suppression(f"user{number:04d}@x.example", topic, "bounce", "event", NOW)


def test_an_entry_is_there_once_for_each_topic(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger.write() as tx:
        assert add_suppressions(tx, [entry(1), entry(1), entry(1, "news")]) == 2
        assert add_suppressions(tx, [entry(1, "news"), entry(0)]) == 1
    with ledger.read() as tx:
        assert [item for block in iterate_suppressions(tx) for item in block] == [entry(0), entry(1), entry(1, "news")]
    ledger.close()


def test_the_list_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppressions, "_ROWS_AT_ONCE", 10)
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger.write() as tx:
        add_suppressions(tx, map(entry, range(25)))
    with ledger.read() as tx:
        assert [len(block) for block in iterate_suppressions(tx)] == [10, 10, 5]
    ledger.close()


def test_a_ledger_of_the_first_version_gets_the_table(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    engine = create_engine(url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", "engine.ledger:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        assert not inspect(connection).has_table("suppression")
    open_ledger(url).close()
    assert inspect(engine).has_table("suppression")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
