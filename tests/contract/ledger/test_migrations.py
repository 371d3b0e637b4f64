"""A ledger that the previous version wrote is opened, brought up to date, and loses nothing."""

import zlib
from array import array
from collections.abc import Mapping

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from msgspec.structs import replace
from sqlalchemy import Connection, Engine, column, insert, inspect, table, text
from support.recorded import read_journal

from engine.ledger import event_flags, leases, runs
from engine.ledger.connect import make_engine
from engine.ledger.database import open_ledger
from engine.ledger.event_flags import Flag
from engine.ledger.facts import RunFacts, set_facts
from engine.ledger.journal import Outcome, replay
from engine.ledger.schema import RunState, metadata
from engine.ledger.suppressed.suppressions import iterate_suppressions
from engine.ledger.workers import Liveness

AT = "2026-11-24T09:00:00.000000Z"
ROWS = """
INSERT INTO run (name, state, reason, sandbox, folder, manifest_digest, rows_read, accepted, excluded, created_at,
 started_at) VALUES ('a/1', 'paused', 'quota', false, 'runs/a/1', 'd', 9, 6, '{"duplicate": 3}', 'AT', 'AT');
INSERT INTO lease (run, ordinal, rows, epoch, settled_at, sent, refused, failed, in_doubt, outcomes_file,
 outcomes_digest) VALUES ('a/1', 0, 3, 1, 'AT', 2, 0, 0, 1, 'lease-00000-1.parquet', 'e');
INSERT INTO lease (run, ordinal, rows, worker, epoch) VALUES ('a/1', 1, 3, 'w', 2);
INSERT INTO worker (id, run, account, host, process, heartbeat_at) VALUES ('w', 'a/1', 's', 'h', '1/', 'AT')
"""


def describe_tables(engine: Engine) -> dict[str, object]:
    """Describe every table: columns, keys, indexes and constraints; the order of columns does not matter."""
    found = inspect(engine)
    kinds = ("columns", "pk_constraint", "foreign_keys", "indexes", "unique_constraints", "check_constraints")
    return {
        f"{table} {kind}": one if isinstance(one, dict) else sorted(map(_describe, one))
        for table in found.get_table_names()
        for kind in kinds
        for one in [getattr(found, f"get_{kind}")(table)]
    }


def _describe(one: Mapping[str, object]) -> str:
    """Describe a column or an index; conditions of indexes as their text."""
    options = {name: str(value) for name, value in dict(one.get("dialect_options") or {}).items()}  # type: ignore[call-overload]
    return repr({**one, "dialect_options": options})


def upgrade(connection: Connection, version: str) -> None:
    config = Config()
    config.set_main_option("script_location", "engine.ledger:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, version)


def make_previous(url: str, version: str) -> None:
    """Make a ledger as a previous version's migrations do, in the middle of a run."""
    engine = make_engine(url)
    with engine.begin() as connection:
        upgrade(connection, version)
        for statement in ROWS.replace("AT'", f"{AT}'").split(";"):
            connection.execute(text(statement.replace(":", "\\:")))
        journal = text("INSERT INTO journal (run, lease, epoch, sequence, entries) VALUES ('a/1', 1, 2, 1, :entries)")
        connection.execute(journal, {"entries": b'[[4],[4,"sent","m",null,1.0,1],[5]]'})
    engine.dispose()


def test_new_ledger_and_migrated_one_have_the_same_tables(database_url: str):
    """A new ledger is made from the schema, without the migrations."""
    engine = make_engine(database_url)
    with engine.begin() as connection:
        upgrade(connection, "head")
        versions = connection.execute(text("SELECT version_num FROM alembic_version")).all()
    migrated = describe_tables(engine)
    with engine.begin() as connection:
        metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
    engine.dispose()
    open_ledger(database_url).close()
    engine = make_engine(database_url)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).all() == versions
    assert describe_tables(engine) == migrated
    engine.dispose()


@pytest.mark.parametrize(
    "version", ["0001", "0002", "0003", "0005", "0006", "0007", "0008", "0009", "0010", "0011", "0012"]
)
def test_ledger_of_a_previous_version_is_opened_and_works(database_url: str, version: str):
    make_previous(database_url, version)
    ledger = open_ledger(database_url)
    try:
        with ledger.read() as tx:
            assert compare_metadata(MigrationContext.configure(tx), metadata) == []
            run = runs.find_run(tx, "a/1")
            assert run is not None
            assert (run.state, run.reason, run.excluded) == (RunState.PAUSED, "quota", {"duplicate": 3})
            assert (run.paused_by, run.pruned_at, run.suspect) == (None, None, False)
            assert (run.store, run.limited) == (None, False)
            assert leases.sum_settled(tx, "a/1")[Outcome.IN_DOUBT] == 1
            assert replay(read_journal(tx, "a/1", 1)).open_intents == {5}
            assert leases.replay_lease(tx, "a/1", 1).begun == {}  # no time was recorded
        with ledger.write() as tx:
            runs.start_run(tx, "a/1", run.created_at)
            assert Liveness().list_live(tx, 0.0) == {"w"}
            taken = leases.take_lease(tx, "a/1", worker="new", live={"new"})
            assert (taken.ordinal, taken.epoch) == (1, 3) if taken else False
    finally:
        ledger.close()


def test_migration_marks_reasons_that_widened_opt_outs_as_ours(database_url: str):
    make_previous(database_url, "0007")
    engine = make_engine(database_url)
    with engine.begin() as connection:
        for key, topic, reason in (
            ("a", "news", "Hard bounce"),
            ("b", "news", "no bounces, please"),
            ("c", "news", "spam complaint"),
            ("d", "", "Hard bounce"),
            ("e", "news", "unsubscribe"),
        ):
            values = {"key": f"{key}@x.example", "topic": topic, "reason": reason, "source": "bounces.csv", "at": AT}
            entry = (
                "INSERT INTO suppression (key, topic, reason, source, at) VALUES (:key, :topic, :reason, :source, :at)"
            )
            connection.execute(text(entry), values)
    engine.dispose()
    ledger = open_ledger(database_url)
    try:
        entries = [one for block in iterate_suppressions(ledger) for one in block]
    finally:
        ledger.close()
    assert [one.reason for one in entries] == [
        "bounce",
        "no bounces, please",
        "complaint",
        "Hard bounce",
        "unsubscribe",
    ]
    assert [one.applies_to("other", "transactional") for one in entries] == [True, False, True, True, False]


def test_what_came_from_inbound_mail_before_has_no_known_proof(database_url: str):
    make_previous(database_url, "0008")
    engine = make_engine(database_url)
    with engine.begin() as connection:
        for source in ("inbound mail", "run a/1"):
            entry = (
                "INSERT INTO suppression (key, topic, reason, source, at) VALUES (:key, '', 'complaint', :source, :at)"
            )
            connection.execute(text(entry), {"key": source[:3], "source": source, "at": AT})
    engine.dispose()
    ledger = open_ledger(database_url)
    try:
        found = {one.source: (one.proof, one.is_certain) for block in iterate_suppressions(ledger) for one in block}
    finally:
        ledger.close()
    assert found == {"inbound mail": ("unknown", False), "run a/1": (None, True)}


def test_runs_of_earlier_versions_have_no_facts_until_written(database_url: str):
    make_previous(database_url, "0009")
    facts = RunFacts("acme.example", "ses", trial=False, kind="marketing", topic="a", configuration_set="ip")
    ledger = open_ledger(database_url)
    try:
        with ledger.write() as tx:
            assert [run.name for run in runs.list_runs_without_facts(tx)] == ["a/1"]
            set_facts(tx, "a/1", facts)
            set_facts(tx, "a/1", replace(facts, topic="another"))
        with ledger.read() as tx:
            run = runs.find_run(tx, "a/1")
            assert run is not None
            assert (run.facts, runs.list_runs_without_facts(tx)) == (facts, [])
    finally:
        ledger.close()


def test_opens_and_clicks_of_earlier_versions_count_as_those_of_people(database_url: str):
    """The flags of rows say the same as the counts, and a machine's event that is read again changes nothing."""
    make_previous(database_url, "0011")
    old = {0: [(0, Flag.PROVEN | Flag.OPENED), (1, Flag.OPENED | Flag.CLICKED)], 1: [(2, Flag.DELIVERED)]}
    counts = {"proven": 0, "delivered": 0, "bounced": 0, "soft_bounced": 0, "provider_suppressed": 0, "complained": 0}
    counts |= {"opened": 2, "clicked": 1, "delayed": 0, "unsubscribed": 0, "rejected": 0}
    feedback = table("feedback", *map(column, ("run", "lease", "flags", *counts)))
    engine = make_engine(database_url)
    with engine.begin() as connection:
        for lease, rows in old.items():
            bits = array("H", [0, 0, 0])
            for index, flags in rows:
                bits[index] = flags
            values = counts if lease == 0 else dict.fromkeys(counts, 0) | {"delivered": 1}
            packed = zlib.compress(bits.tobytes())
            connection.execute(insert(feedback).values(run="a/1", lease=lease, flags=packed, **values))
    engine.dispose()
    ledger = open_ledger(database_url)
    try:
        with ledger.read() as tx:
            sums = event_flags.sum_feedback(tx, "a/1")
            assert (sums[Flag.OPENED], sums[Flag.OPENED_BY_PEOPLE]) == (2, 2)
            assert (sums[Flag.CLICKED], sums[Flag.CLICKED_BY_PEOPLE], sums[Flag.DELIVERED]) == (1, 1, 1)
            assert list(event_flags.read_flags(tx, "a/1", 0)) == [
                Flag.PROVEN | Flag.OPENED | Flag.OPENED_BY_PEOPLE,
                Flag.OPENED | Flag.CLICKED | event_flags.BY_PEOPLE,
                0,
            ]
            assert list(event_flags.read_flags(tx, "a/1", 1)) == [0, 0, Flag.DELIVERED]
    finally:
        ledger.close()
