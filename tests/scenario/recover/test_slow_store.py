"""Files that take longer than the ledger's idle timeout: PostgreSQL ends a session that waits inside a transaction."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.doubt import leave_in_doubt
from support.events import make_event_of, write_events
from support.postgres import Cluster
from support.slow_store import slow_store
from support.world import LONGEST_SECONDS, RUN, Finished, World, finish, open_world

from engine.errors import ExitCode
from engine.ledger import connect
from engine.ledger.database import open_ledger

# Calls of the store take longer than a transaction may be idle. SOAK=1: with the timeout as it is, so that a command
# waits for one or two minutes in all.
IDLE_SECONDS = connect.IDLE_IN_TRANSACTION_SECONDS if os.environ.get("SOAK") else 0.4
CALL_SECONDS = IDLE_SECONDS * 1.25
COMMAND_SECONDS = 400 * CALL_SECONDS

pytestmark = pytest.mark.timeout(100 * COMMAND_SECONDS)


@pytest.fixture
def left(tmp_path: Path, postgres: Cluster) -> Iterator[World]:
    """A run with recipients in doubt; the store has become slow since."""
    with open_world(tmp_path, ledger=postgres.make_database()) as world:
        leave_in_doubt(world, people=40, before=10)
        world.constants = {"engine.ledger.connect.IDLE_IN_TRANSACTION_SECONDS": IDLE_SECONDS}
        world.before = slow_store(CALL_SECONDS)
        yield world


def run(world: World, *arguments: str, code: int = 0) -> Finished:
    ended = finish(world.start(*arguments), COMMAND_SECONDS)
    assert ended.code == code, ended.stderr
    return ended


def test_audit_status_and_resolve_wait_for_a_slow_store(left: World):
    hanging = run(left, "status", RUN, "--json").json["in_doubt"]
    assert hanging > 0
    assert run(left, "audit", RUN, "--json").json["balanced"]
    assert len(run(left, "resolve", RUN, "--json").json["recipients_in_doubt"]) == hanging
    assert run(left, "resolve", RUN, "--from-events", "--json").json["in_doubt"] == hanging
    assert run(left, "resolve", RUN, "--skip", "--json").json["failed"] == hanging
    assert run(left, "audit", RUN, "--json").json["failed"] == hanging


def test_a_run_is_adopted_and_resumed_by_a_new_ledger_on_a_slow_store(left: World, postgres: Cluster):
    hanging = run(left, "status", RUN, "--json").json["in_doubt"]
    left._ledger = postgres.make_database()
    open_ledger(left.ledger_url).close()  # making the tables takes longer than this test's timeout
    assert run(left, "resolve", RUN, "--after-restore", "--json").json["in_doubt"] == hanging
    assert run(left, "resolve", RUN, "--resend", "--json").json["unsent"] == hanging
    assert run(left, "launch", "hello", "--key", "test", "--json").json["sent"] == 40
    assert run(left, "audit", RUN, "--json").json["sent"] == 40


def test_feedback_and_retention_wait_for_a_slow_store(left: World):
    write_events(left.folder / "events.jsonl", [make_event_of(left.accepted()[0], "Delivery")])
    assert run(left, "events", "import", "events.jsonl", "--json").json["changed"] == 1
    assert run(left, "suppress", "add", "person1@example.com", "--json").json["added"] == 1
    assert run(left, "suppress", "export", "out.csv", "--json").json["entries"] == 1
    assert run(left, "forget", "person2@example.com", "--json").json["runs"] == {RUN: 1}
    assert run(left, "plan", "hello", "--json").json["excluded"]["suppressed"] == 2
    run(left, "prune", "--older-than", "0h", "--yes", "--json")
    assert run(left, "status", RUN, "--json").json["balanced"]


WORK_INSIDE_A_TRANSACTION = """
from engine.ledger import snapshots
from engine.transaction_guard import refuse_in_transaction

def read_all_totals(ledger, now):
    with ledger.read():
        refuse_in_transaction("recipients-0000.parquet")

snapshots.read_all_totals = read_all_totals
"""


def test_work_inside_a_transaction_is_reported_as_a_bug_on_every_ledger(world: World):
    world.before = WORK_INSIDE_A_TRANSACTION
    process = world.start("status")
    _, stderr = process.communicate(timeout=LONGEST_SECONDS)
    assert process.returncode == ExitCode.BUG
    assert "inside a ledger transaction: recipients-0000.parquet" in stderr
    assert "report it with the traceback" in stderr
