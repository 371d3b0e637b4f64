"""The ledger's own suppression list, and the migration that makes its table."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from engine.ledger.database import open_ledger
from engine.ledger.schema import metadata
from engine.ledger.suppressed import suppressions
from engine.ledger.suppressed.reasons import Reason
from engine.ledger.suppressed.suppressions import (
    Suppression,
    SuppressionProof,
    add_suppressions,
    count_suppressions,
    find_blocking,
    find_suppressions,
    iterate_suppressions,
    merge_event_suppressions,
)

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def entry(number: int, topic: str = "") -> Suppression:
    return Suppression(f"user{number:04d}@x.example", topic, "bounce", "event", NOW)


def test_an_entry_is_there_once_for_each_topic(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger.write() as tx:
        assert add_suppressions(tx, [entry(1), entry(1), entry(1, "news")]) == 2
        assert add_suppressions(tx, [entry(1, "news"), entry(0)]) == 1
    assert [item for block in iterate_suppressions(ledger) for item in block] == [entry(0), entry(1), entry(1, "news")]
    ledger.close()


def test_entries_that_block_an_address_are_its_own_and_its_domains(ledger_url: str) -> None:
    blocking = ["ann@a.b.example", "@a.b.example", "@*.b.example", '"o\'h,{}%"@x.example']
    others = ["bob@a.b.example", "@b.example", "@*.a.b.example"]
    ledger = open_ledger(ledger_url)
    with ledger.write() as tx:
        add_suppressions(tx, [Suppression(key, "", "bounce", "event", NOW) for key in [*blocking, *others]])
        found = [entry.key for entry in find_blocking(tx, {"ann@a.b.example", '"o\'h,{}%"@x.example'})]
        assert find_blocking(tx, []) == []
    assert sorted(found) == sorted(blocking)
    ledger.close()


def test_the_list_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppressions, "_ROWS_AT_ONCE", 10)
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger.write() as tx:
        add_suppressions(tx, map(entry, range(25)))
    assert [len(block) for block in iterate_suppressions(ledger)] == [10, 10, 5]
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


def test_result_of_events_does_not_depend_on_their_order(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    said = [
        Suppression("a@x.example", "", Reason.BOUNCE, "hello/1", NOW, "e1"),
        Suppression("a@x.example", "", Reason.COMPLAINT, "hello/1", NOW + timedelta(hours=1), "e2"),
        Suppression("a@x.example", "", Reason.COMPLAINT, "hello/1", NOW + timedelta(hours=1), "e3"),
        Suppression("a@x.example", "", Reason.COMPLAINT, "hello/1", NOW + timedelta(hours=2), "e4"),
    ]
    for order in permutations(said):
        with ledger.write() as tx:
            suppressions.remove_suppressions(tx, "a@x.example")
            assert sum(merge_event_suppressions(tx, [item]) for item in (*order, *said)) == 1
        with ledger.read() as tx:
            assert find_suppressions(tx, ["a@x.example"]) == [said[1]]
    ledger.close()


def test_event_does_not_replace_an_entry_of_a_person(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    manual = Suppression("a@x.example", "", Reason.MANUAL, "by hand", NOW, address="A@x.example")
    with ledger.write() as tx:
        add_suppressions(tx, [manual])
        learned = [Suppression("a@x.example", "", Reason.COMPLAINT, "hello/1", NOW, "e1"), entry(9)]
        assert merge_event_suppressions(tx, learned) == 1
    with ledger.read() as tx:
        assert find_suppressions(tx, ["a@x.example", "b@x.example"]) == [manual]
        assert count_suppressions(tx) == 2
    ledger.close()


def test_event_replaces_an_unproven_reason_of_the_same_weight(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    mails = [
        Suppression(f"{proof}@x.example", "", Reason.COMPLAINT, "inbound mail", NOW, proof=proof)
        for proof in (SuppressionProof.TOKEN, SuppressionProof.SOURCE)
    ]
    with ledger.write() as tx:
        add_suppressions(tx, mails)
        for reason in (Reason.BOUNCE, Reason.COMPLAINT):
            merge_event_suppressions(tx, [Suppression(mail.key, "", reason, "hello/1", NOW, "e") for mail in mails])
            found = {one.key.partition("@")[0]: one.is_certain for one in find_suppressions(tx, {m.key for m in mails})}
            assert found == {"token": True, "feedback_source": reason is Reason.COMPLAINT}
    ledger.close()
