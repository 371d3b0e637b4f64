"""The contract of every ledger: each law is tested on SQLite and on PostgreSQL."""

import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from threading import Thread
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from msgspec.structs import replace
from sqlalchemy import Connection, func, insert, select, text
from support.clock import START, VirtualClock
from support.postgres import Cluster
from support.recorded import read_journal
from support.second_thread import run_in_thread

from engine.errors import ConfigurationError
from engine.ledger import leases, migrate, runs, worker_locks, workers
from engine.ledger.database import Ledger, open_ledger
from engine.ledger.journal import Outcome
from engine.ledger.leases import Lease, Settlement
from engine.ledger.runs import Run
from engine.ledger.schema import RunState, journal_table, lease_table, metadata, worker_table

NAME = "welcome/2026-11-24"
RUN = Run(
    name=NAME,
    state=RunState.PLANNED,
    reason=None,
    sandbox=False,
    folder="runs/" + NAME,
    manifest_digest="d" * 64,
    rows_read=9,
    accepted=6,
    excluded={"duplicate": 2, "missing_address": 1},
    created_at=START,
    started_at=None,
    finished_at=None,
)


@pytest.fixture
def url(ledger_url: str) -> str:
    return ledger_url


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    opened = open_ledger(url)
    yield opened
    opened.close()


@pytest.fixture
def tx(ledger: Ledger) -> Iterator[Connection]:
    """A write transaction in which the run has three leases of two rows and is sending."""
    with ledger.write() as connection:
        runs.insert_run(connection, RUN, lease_rows=[2, 2, 2])
        runs.start_run(connection, NAME, START)
        yield connection


def add_worker(tx: Connection, worker: str, heartbeat_at: datetime = START, **values: Any) -> None:
    row = {"id": worker, "run": NAME, "account": "ses", "host": "elsewhere", "process": "1/", **values}
    tx.execute(insert(worker_table).values(heartbeat_at=heartbeat_at, **row))


def live_in(tx: Connection) -> set[str]:
    """Workers with a fresh heartbeat, as seen by a worker that has watched the others."""
    fresh = select(worker_table.c.id).where(worker_table.c.heartbeat_at > START - workers.ALIVE)
    return set(tx.execute(fresh).scalars())


def beat(tx: Connection, worker: str, now: datetime = START) -> workers.HeartbeatReply:
    liveness = workers.Liveness()
    return workers.write_heartbeat(tx, worker, run=NAME, account="ses", now=now, monotonic=0.0, liveness=liveness)


def take(tx: Connection, worker: str) -> Lease | None:
    own = select(lease_table.c.ordinal).where(lease_table.c.worker == worker)
    holding = tx.execute(own).scalars().all()
    return leases.take_lease(tx, NAME, worker=worker, live=live_in(tx), holding=holding)


def taken(tx: Connection, worker: str) -> Lease:
    lease = take(tx, worker)
    assert lease is not None
    return lease


def settlement(**counts: int) -> Settlement:
    return Settlement({Outcome(name): count for name, count in counts.items()}, "lease.parquet", digest_of(counts))


def digest_of(counts: dict[str, int]) -> str:
    return sha256(repr(counts).encode()).hexdigest()


def find(tx: Connection) -> Run:
    run = runs.find_run(tx, NAME)
    assert run is not None
    return run


def count_rows(tx: Connection, table: Any) -> int:
    return int(tx.execute(select(func.count()).select_from(table)).scalar_one())


# -- schema ------------------------------------------------------------------------------------------------------------


def test_new_ledger_has_exactly_the_tables_of_the_schema(ledger: Ledger):
    with ledger.read() as tx:
        assert compare_metadata(MigrationContext.configure(tx), metadata) == []


def test_required_ledger_version_is_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", "engine.ledger:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == migrate.HEAD


def test_opening_a_second_time_keeps_what_is_there(database_url: str):
    first = open_ledger(database_url)
    with first.write() as tx:
        runs.insert_run(tx, RUN, lease_rows=[2])
    first.close()
    second = open_ledger(database_url)
    with second.read() as tx:
        assert runs.find_run(tx, NAME) == RUN
    second.close()


def test_ledger_of_a_newer_version_is_refused_unchanged(url: str):
    ledger = open_ledger(url)
    with ledger.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    ledger.close()
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"newer mailrun.*9999.*install the newer version"):
            open_ledger(url)


def test_moment_is_read_as_the_same_moment_in_utc(ledger: Ledger):
    moment = datetime(2026, 11, 24, 16, 0, 0, 123456, tzinfo=timezone(timedelta(hours=7)))
    with ledger.write() as tx:
        runs.insert_run(tx, replace(RUN, created_at=moment), lease_rows=[])
        read = find(tx).created_at
    assert read == moment
    assert read.tzinfo is UTC


def test_a_connection_that_was_dropped_while_idle_fails_no_transaction(postgres: Cluster):
    url = postgres.make_database()
    with closing(open_ledger(url)) as ledger, closing(open_ledger(url)) as other:
        with ledger.write() as tx:
            mine = tx.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with other.write() as tx:  # a fail-over, or a firewall; waits until it is done
            assert tx.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": mine}).scalar_one()
        with ledger.write() as tx:
            assert tx.execute(text("SELECT pg_backend_pid()")).scalar_one() != mine


def test_what_an_interrupted_block_wrote_is_not_there(ledger: Ledger):
    def insert_and_fail() -> None:
        with ledger.write() as tx:
            runs.insert_run(tx, RUN, lease_rows=[2])
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        insert_and_fail()
    with ledger.read() as tx:
        assert runs.find_run(tx, NAME) is None


# -- runs --------------------------------------------------------------------------------------------------------------


def test_run_is_read_as_it_was_inserted(ledger: Ledger):
    with ledger.write() as tx:
        assert runs.insert_run(tx, RUN, lease_rows=[2, 2, 2])
        assert runs.find_run(tx, NAME) == RUN
        assert [(lease.rows, lease.epoch, lease.worker) for lease in leases.list_leases(tx, NAME)] == [(2, 0, None)] * 3


def test_a_run_inserted_twice_is_one_run_and_the_first(ledger: Ledger):
    with ledger.write() as tx:
        assert runs.insert_run(tx, RUN, lease_rows=[2])
    with ledger.write() as tx:
        assert not runs.insert_run(tx, replace(RUN, rows_read=100), lease_rows=[2, 2])
        assert runs.list_runs(tx) == [RUN]
        assert count_rows(tx, lease_table) == 1


def test_runs_are_listed_the_newest_first(ledger: Ledger):
    with ledger.write() as tx:
        for i in (1, 3, 2):
            runs.insert_run(tx, replace(RUN, name=f"a/{i}", created_at=START + timedelta(days=i)), lease_rows=[])
        assert [run.name for run in runs.list_runs(tx)] == ["a/3", "a/2", "a/1"]


@pytest.mark.parametrize("state", RunState)
def test_start_accepts_only_planned_and_paused_runs(ledger: Ledger, state: RunState):
    with ledger.write() as tx:
        runs.insert_run(tx, replace(RUN, state=state, reason="recorded before"), lease_rows=[2])
        before = find(tx)
        runs.start_run(tx, NAME, START)
        if state in (RunState.PLANNED, RunState.PAUSED):
            assert find(tx) == replace(before, state=RunState.SENDING, reason=None, started_at=START)
        else:
            assert find(tx) == before


def test_a_run_started_again_keeps_the_time_of_its_first_start(tx: Connection):
    runs.pause_run(tx, NAME, "quota")
    runs.start_run(tx, NAME, START + timedelta(days=1))
    assert find(tx).started_at == START


@pytest.mark.parametrize("state", RunState)
def test_only_a_sending_run_is_paused(ledger: Ledger, state: RunState):
    with ledger.write() as tx:
        runs.insert_run(tx, replace(RUN, state=state, reason="recorded before"), lease_rows=[])
        before = find(tx)
        runs.pause_run(tx, NAME, "quota")
        sending = state is RunState.SENDING
        assert find(tx) == (replace(before, state=RunState.PAUSED, reason="quota") if sending else before)


@pytest.mark.parametrize("state", RunState)
def test_only_a_sending_run_is_finished(ledger: Ledger, state: RunState):
    with ledger.write() as tx:
        runs.insert_run(tx, replace(RUN, state=state), lease_rows=[])
        before = find(tx)
        assert runs.finish_run(tx, NAME, START) is (state is RunState.SENDING)
        sending = state is RunState.SENDING
        assert find(tx) == (replace(before, state=RunState.FINISHED, finished_at=START) if sending else before)


def test_a_run_with_an_unsettled_lease_is_not_finished(tx: Connection):
    for _ in range(3):
        assert not runs.finish_run(tx, NAME, START)
        assert find(tx).state is RunState.SENDING
        leases.settle_lease(tx, taken(tx, "a"), settlement(sent=2), START)
    assert runs.finish_run(tx, NAME, START)


@pytest.mark.parametrize(
    ("other", "state"),
    [
        ({}, RunState.SENDING),
        ({"heartbeat_at": START - timedelta(minutes=1)}, RunState.PAUSED),
        ({"run": "other/1"}, RunState.PAUSED),
    ],
)
def test_leaving_worker_pauses_the_run_unless_another_continues(tx: Connection, other: dict[str, Any], state: RunState):
    runs.insert_run(tx, replace(RUN, name="other/1"), lease_rows=[])
    add_worker(tx, "leaving")
    add_worker(tx, "other", **other)
    runs.pause_run_if_abandoned(tx, NAME, worker="leaving", live=live_in(tx), reason="stopped by SIGTERM")
    assert find(tx).state is state
    assert find(tx).reason == (None if state is RunState.SENDING else "stopped by SIGTERM")


# -- leases ------------------------------------------------------------------------------------------------------------


def test_each_lease_is_taken_once_in_order_until_none_is_left(tx: Connection):
    for worker in "abcd":
        add_worker(tx, worker)
    assert [take(tx, worker) for worker in "abcd"] == [*(Lease(NAME, i, 1) for i in range(3)), None]


def test_returned_lease_comes_before_a_fresh_one(tx: Connection):
    add_worker(tx, "a")
    add_worker(tx, "b")
    taken(tx, "a")
    leases.release_lease(tx, taken(tx, "b"))
    assert taken(tx, "a") == Lease(NAME, 1, 2)
    assert taken(tx, "a") == Lease(NAME, 2, 1)


def test_a_lease_of_a_silent_worker_is_taken_over_under_a_new_epoch(tx: Connection):
    add_worker(tx, "dead", START - workers.ALIVE)
    add_worker(tx, "b")
    assert taken(tx, "dead") == Lease(NAME, 0, 1)
    assert taken(tx, "b") == Lease(NAME, 0, 2)
    assert leases.list_leases(tx, NAME)[0].worker == "b"


def test_lease_of_an_unknown_worker_is_taken_over(tx: Connection):
    add_worker(tx, "b")
    taken(tx, "gone")
    assert taken(tx, "b") == Lease(NAME, 0, 2)


@pytest.mark.parametrize("state", [state for state in RunState if state is not RunState.SENDING])
def test_no_lease_is_taken_of_a_run_that_is_not_sending(ledger: Ledger, state: RunState):
    with ledger.write() as tx:
        runs.insert_run(tx, replace(RUN, state=state), lease_rows=[2])
        assert take(tx, "a") is None


def test_a_settled_lease_is_never_taken_again(tx: Connection):
    leases.settle_lease(tx, taken(tx, "a"), settlement(sent=2), START)
    assert taken(tx, "a").ordinal == 1
    assert leases.count_unsettled(tx, NAME) == 2


def test_a_released_lease_keeps_its_journal_for_the_next_owner(tx: Connection):
    lease = taken(tx, "a")
    leases.append_journal(tx, lease, sequence=1, entries=b"[[1]]")
    leases.release_lease(tx, lease)
    assert taken(tx, "b") == replace(lease, epoch=2)
    assert read_journal(tx, NAME, 0) == [b"[[1]]"]


def test_worker_without_its_lease_cannot_record_settle_or_release_it(tx: Connection):
    old = taken(tx, "dead")
    leases.append_journal(tx, old, sequence=1, entries=b"[[1]]")
    new = taken(tx, "b")
    before = leases.list_leases(tx, NAME)
    assert not leases.append_journal(tx, old, sequence=2, entries=b"[[2]]")
    assert not leases.settle_lease(tx, old, settlement(sent=2), START)
    leases.release_lease(tx, old)
    assert leases.list_leases(tx, NAME) == before
    assert read_journal(tx, NAME, 0) == [b"[[1]]"]
    assert leases.append_journal(tx, new, sequence=1, entries=b"[[3]]")


def test_nothing_is_recorded_for_a_settled_lease(tx: Connection):
    lease = taken(tx, "a")
    assert leases.settle_lease(tx, lease, settlement(sent=2), START)
    assert not leases.append_journal(tx, lease, sequence=1, entries=b"[[1]]")
    assert not leases.settle_lease(tx, lease, settlement(refused=2), START)
    assert leases.sum_settled(tx, NAME)[Outcome.SENT] == 2


def test_a_journal_is_read_in_order_of_commit_across_epochs(tx: Connection):
    first = taken(tx, "a")
    for sequence in (1, 2, 10):
        leases.append_journal(tx, first, sequence=sequence, entries=b"a%d" % sequence)
    second = taken(tx, "b")
    leases.append_journal(tx, second, sequence=1, entries=b"b1")
    assert read_journal(tx, NAME, 0) == [b"a1", b"a2", b"a10", b"b1"]


def test_a_journal_says_when_an_intent_was_recorded(tx: Connection):
    lease, before = taken(tx, "a"), datetime.now(UTC).timestamp()
    leases.append_journal(tx, lease, sequence=1, entries=b"[[1]]")
    after = datetime.now(UTC).timestamp()
    (at,) = leases.replay_lease(tx, NAME, 0).begun.values()
    assert before - 0.002 <= at <= after  # SQLite's clock has milliseconds


def test_settling_keeps_the_sums_and_drops_the_journal_of_its_lease(tx: Connection):
    add_worker(tx, "a")
    first, second = taken(tx, "a"), taken(tx, "a")
    for lease in (first, second):
        leases.append_journal(tx, lease, sequence=1, entries=b"[[1]]")
    assert leases.settle_lease(tx, first, settlement(sent=1, in_doubt=1), START)
    assert read_journal(tx, NAME, 0) == []
    assert read_journal(tx, NAME, 1) == [b"[[1]]"]
    state = leases.list_leases(tx, NAME)[0]
    counts = {Outcome.SENT: 1, Outcome.REFUSED: 0, Outcome.FAILED: 0, Outcome.IN_DOUBT: 1}
    assert (state.worker, state.settlement) == (
        None,
        Settlement(counts, "lease.parquet", digest_of({"sent": 1, "in_doubt": 1})),
    )
    assert leases.settle_lease(tx, second, settlement(sent=1, failed=1), START)
    sums = {Outcome.SENT: 2, Outcome.REFUSED: 0, Outcome.FAILED: 1, Outcome.IN_DOUBT: 1}
    assert leases.sum_settled(tx, NAME) == sums
    assert count_rows(tx, journal_table) == 0


def test_a_run_without_settled_leases_sums_to_nothing(tx: Connection):
    assert set(leases.sum_settled(tx, NAME).values()) == {0}


def test_same_record_twice_is_one_record_and_durable_both_times(tx: Connection):
    """The answer to a commit may be lost; the worker then tries it again."""
    lease = taken(tx, "a")
    for _ in range(2):
        assert leases.append_journal(tx, lease, sequence=1, entries=b"[[1]]")
    assert read_journal(tx, NAME, 0) == [b"[[1]]"]


def test_settling_twice_with_the_same_file_succeeds_twice(tx: Connection):
    lease = taken(tx, "a")
    for _ in range(2):
        assert leases.settle_lease(tx, lease, settlement(sent=2), START)


def test_a_lease_taken_by_a_commit_whose_answer_was_lost_is_taken_again(tx: Connection):
    add_worker(tx, "a")
    lost = leases.take_lease(tx, NAME, worker="a", live={"a"})
    again = leases.take_lease(tx, NAME, worker="a", live={"a"}, holding=[])
    assert (lost, again) == (Lease(NAME, 0, 1), Lease(NAME, 0, 2))


def test_a_settled_lease_can_be_opened_again_under_the_next_epoch(tx: Connection):
    leases.settle_lease(tx, taken(tx, "a"), settlement(sent=1, in_doubt=1), START)
    state = leases.list_leases(tx, NAME)[0]
    assert leases.reopen_lease(tx, NAME, state, epoch=2) == Lease(NAME, 0, 2)
    assert leases.reopen_lease(tx, NAME, state, epoch=2) is None
    assert leases.list_leases(tx, NAME)[0].settlement is None
    assert taken(tx, "b") == Lease(NAME, 0, 3)


def test_rewritten_outcomes_replace_a_settled_lease_by_epoch(tx: Connection):
    leases.settle_lease(tx, taken(tx, "a"), settlement(sent=1, in_doubt=1), START)
    state = leases.find_lease(tx, NAME, 0)
    reserved = leases.reserve_epoch(tx, NAME, state, epoch=4)
    assert reserved == Lease(NAME, 0, 4)
    assert leases.reserve_epoch(tx, NAME, state, epoch=5) is None
    assert not leases.replace_settlement(tx, Lease(NAME, 0, 1), settlement(sent=2), START)
    assert leases.replace_settlement(tx, reserved, settlement(sent=2))
    changed = leases.find_lease(tx, NAME, 0)
    assert changed.settlement is not None
    assert (changed.settlement.counts[Outcome.SENT], changed.settled_at) == (2, START)


def test_a_run_is_not_finished_while_a_lease_of_it_is_opened_again(ledger: Ledger):
    """The one who opens it again has not committed yet: the worker that finishes the run waits and sees it."""
    with ledger.write() as tx:
        runs.insert_run(tx, RUN, lease_rows=[2])
        runs.start_run(tx, NAME, START)
        add_worker(tx, "a")
        assert leases.settle_lease(tx, taken(tx, "a"), settlement(sent=1, in_doubt=1), START)
        state = leases.find_lease(tx, NAME, 0)
    told: list[bool] = []

    def finish() -> None:
        with ledger.write() as tx:
            told.append(runs.finish_run(tx, NAME, START))

    with ledger.write() as tx:
        runs.lock_run(tx, NAME)
        assert leases.reopen_lease(tx, NAME, state, epoch=2) is not None
        runs.reopen_run(tx, NAME, "again")
        last = Thread(target=finish)
        last.start()
        last.join(1.0)  # it has done all that it can do before the commit
    last.join()
    with ledger.read() as tx:
        assert (told, find(tx).state) == ([False], RunState.SENDING)


def test_two_workers_take_leases_without_waiting_for_each_other(ledger: Ledger):
    """In PostgreSQL the first transaction holds its lease's row; SQLite lets one writer in at a time."""
    with ledger.write() as tx:
        runs.insert_run(tx, RUN, lease_rows=[2, 2])
        runs.start_run(tx, NAME, START)
        add_worker(tx, "a")
        add_worker(tx, "b")
    if ledger.url.startswith("sqlite"):
        return

    def take_other() -> Lease:
        with ledger.write() as other:
            return taken(other, "b")

    with ledger.write() as one:
        first, second = taken(one, "a"), run_in_thread(take_other)
    assert {first.ordinal, second.ordinal} == {0, 1}


def test_a_lease_whose_owner_is_recording_at_this_moment_is_not_taken_over(ledger: Ledger):
    """The record locks the lease's row: either it is durable before the take-over, or it is refused after it."""
    if ledger.url.startswith("sqlite"):
        return  # one writer at a time
    with ledger.write() as tx:
        runs.insert_run(tx, RUN, lease_rows=[2])
        runs.start_run(tx, NAME, START)
        lease = taken(tx, "slow")

    def take_over() -> Lease | None:
        with ledger.write() as successor:
            return leases.take_lease(successor, NAME, worker="b", live={"b"})

    with ledger.write() as slow:
        assert leases.append_journal(slow, lease, sequence=1, entries=b"[[1]]")
        assert run_in_thread(take_over) is None
    with ledger.write() as successor:
        assert leases.take_lease(successor, NAME, worker="b", live={"b"}) == replace(lease, epoch=2)
    with ledger.write() as zombie:
        assert not leases.append_journal(zombie, lease, sequence=2, entries=b"[[2]]")


def test_a_run_is_paused_resumed_and_cancelled_by_people(tx: Connection):
    assert runs.pause_run_by_person(tx, NAME, who="ann@desk", reason="wrong price")
    runs.start_run(tx, NAME, START)  # a pod that starts again does not undo it
    assert (find(tx).state, find(tx).paused_by) == (RunState.PAUSED, "ann@desk")
    assert runs.resume_run(tx, NAME, START)
    assert not runs.resume_run(tx, NAME, START)
    assert (find(tx).state, find(tx).paused_by, find(tx).reason) == (RunState.SENDING, None, None)
    assert runs.cancel_run(tx, NAME, reason="called off", now=START)
    assert not runs.pause_run_by_person(tx, NAME, who="ann@desk", reason="too late")
    assert not runs.cancel_run(tx, NAME, reason="again", now=START)
    assert (find(tx).state, find(tx).reason) == (RunState.CANCELLED, "called off")


def test_run_paused_before_its_start_starts_when_resumed(tx: Connection):
    runs.insert_run(tx, replace(RUN, name="other/1"), lease_rows=[])
    runs.pause_run_by_person(tx, "other/1", who="ann@desk", reason="wait")
    for hours in (1, 2):  # the first time stays
        later = START + timedelta(hours=hours)
        runs.start_run(tx, "other/1", later)  # a worker that waits for the person
        runs.resume_run(tx, "other/1", later)
        runs.pause_run_by_person(tx, "other/1", who="ann@desk", reason="wait again")
    other = runs.find_run(tx, "other/1")
    assert other is not None
    assert other.started_at == START + timedelta(hours=1)


def test_what_remains_of_pruned_leases_are_their_sums(tx: Connection):
    for counts in ({"sent": 1, "in_doubt": 1}, {"sent": 2}):
        leases.settle_lease(tx, taken(tx, "a"), settlement(**counts), START)
    before = leases.sum_settled(tx, NAME)
    leases.collapse_leases(tx, NAME, START)
    assert leases.sum_settled(tx, NAME) == before
    assert count_rows(tx, lease_table) == 1


# -- workers -----------------------------------------------------------------------------------------------------------


def test_a_registered_worker_lives_until_it_is_unregistered(tx: Connection):
    workers.register_worker(tx, "me", run=NAME, account="ses", now=START)
    assert workers.list_live_workers(tx, NAME, START) == {"me"}
    workers.unregister_worker(tx, "me")
    assert workers.list_live_workers(tx, NAME, START) == set()


def test_a_worker_lives_as_long_as_its_heartbeat_is_fresh_and_dies_without(tx: Connection):
    workers.register_worker(tx, "me", run=NAME, account="ses", now=START)
    assert workers.list_live_workers(tx, NAME, START + workers.ALIVE) == set()
    beat(tx, "me", START + timedelta(seconds=10))
    assert workers.list_live_workers(tx, NAME, START + workers.ALIVE) == {"me"}


class Beating(VirtualClock):
    """A clock; while it is waited for, some workers beat."""

    def __init__(self, ledger: Ledger, *alive: str) -> None:
        super().__init__()
        self.ledger, self.alive = ledger, alive

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        with self.ledger.write() as tx:
            for worker in self.alive:
                beat(tx, worker)


def test_dead_workers_are_detected_by_heartbeats_and_not_by_clocks(ledger: Ledger):
    with ledger.write() as tx:
        runs.insert_run(tx, RUN, lease_rows=[2, 2, 2])
        long_ago, ahead = START - timedelta(days=1), START + timedelta(days=1)
        add_worker(tx, "its clock is behind", long_ago)
        add_worker(tx, "dead, its clock is ahead", ahead)
        add_worker(tx, "dead, its machine has our name", ahead, host=socket.gethostname())
    beating = Beating(ledger, "its clock is behind")
    known = {"its clock is behind", "dead, its clock is ahead", "dead, its machine has our name", "swept"}
    assert workers.find_gone_workers(ledger, known, beating) == known - {"its clock is behind"}
    assert beating.monotonic() < 1000.0 + 2 * workers.SILENCE_SECONDS
    clock = Beating(ledger, "its clock is behind")
    assert workers.find_gone_workers(ledger, {"its clock is behind", "swept"}, clock) == {"swept"}
    assert clock.monotonic() < 1000.0 + 2 * workers.HEARTBEAT_SECONDS  # who lives is seen to soon


def test_heartbeat_returns_run_state_and_workers_of_the_account(tx: Connection):
    runs.insert_run(tx, replace(RUN, name="other/1"), lease_rows=[])
    add_worker(tx, "same account, other run", run="other/1")
    add_worker(tx, "other account", account="elsewhere")
    workers.register_worker(tx, "me", run=NAME, account="ses", now=START)
    runs.pause_run(tx, NAME, "quota")
    pulse = beat(tx, "me")
    assert pulse == workers.HeartbeatReply(RunState.PAUSED, "quota", 2, 2)


def test_heartbeat_counts_the_workers_in_all_regions_of_a_campaign(tx: Connection):
    add_worker(tx, "same region")
    add_worker(tx, "other region", account="ses west")
    add_worker(tx, "elsewhere", account="ses north")
    workers.register_worker(tx, "me", run=NAME, account="ses", now=START)
    now, accounts = START, ("ses", "ses west")
    reply = workers.write_heartbeat(
        tx, "me", run=NAME, account="ses", now=now, monotonic=0.0, liveness=workers.Liveness(), accounts=accounts
    )
    assert (reply.workers_on_account, reply.workers_of_campaign) == (2, 3)


def test_a_worker_that_was_forgotten_still_counts_itself(tx: Connection):
    assert beat(tx, "unknown").workers_on_account == 1


@pytest.fixture
def worker_id() -> Iterator[str]:
    worker = uuid.uuid4().hex
    yield worker
    worker_locks.remove_worker_lock(worker)


def test_a_worker_whose_process_has_died_is_gone_at_once_on_its_machine(tx: Connection, worker_id: str):
    code = (
        "import sys; from engine.ledger.worker_locks import hold_worker_lock\n"
        f"with hold_worker_lock({worker_id!r}): print(flush=True); sys.stdin.read()"
    )
    workers.register_worker(tx, "first", run=NAME, account="ses", now=START)
    add_worker(tx, worker_id)
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert workers.list_live_workers(tx, NAME, START) == {"first", worker_id}
        process.kill()
        process.wait()
    assert workers.list_live_workers(tx, NAME, START) == {"first"}
    assert workers.Liveness().list_live(tx, 0.0) == {"first"}
    workers.register_worker(tx, "me", run=NAME, account="ses", now=START)
    assert count_rows(tx, worker_table) == 2
    assert not worker_locks.is_process_gone(worker_id)  # what it left is swept: nothing is known of it


def test_worker_is_never_dead_by_the_name_of_its_machine_or_process(tx: Connection, worker_id: str):
    add_worker(tx, worker_id, host=socket.gethostname(), process=f"{2**22 + 1}/5@another boot")
    workers.register_worker(tx, "me", run=NAME, account="ses", now=START)
    assert workers.list_live_workers(tx, NAME, START) == {"me", worker_id}
    assert workers.Liveness().list_live(tx, 0.0) == {"me", worker_id}


def test_presence_ends_with_its_worker_and_stays_after_an_error(worker_id: str):
    with worker_locks.hold_worker_lock(worker_id):
        assert not worker_locks.is_process_gone(worker_id)
    assert not worker_locks.is_process_gone(worker_id)
    with pytest.raises(KeyError), worker_locks.hold_worker_lock(worker_id):
        raise KeyError("a bug")
    assert worker_locks.is_process_gone(worker_id)
    assert not worker_locks.is_process_gone("../etc/passwd")


def test_a_worker_lives_while_its_counter_grows_whatever_the_clocks_say(tx: Connection):
    """Watched by the observer's monotonic clock alone: wall clocks of other machines, or jumps, decide nothing."""
    add_worker(tx, "other", START - timedelta(days=3))
    liveness = workers.Liveness()
    assert liveness.list_live(tx, 0.0) == {"other"}
    for second in range(1, 60):
        workers.write_heartbeat(
            tx, "other", run=NAME, account="ses", now=START, monotonic=0.0, liveness=workers.Liveness()
        )
        assert liveness.list_live(tx, float(second)) == {"other"}
    silent = [liveness.list_live(tx, 59.0 + second) for second in range(1, 16)]
    assert silent == [{"other"}] * 14 + [set()]


def test_workers_suspended_together_do_not_count_as_dead(tx: Connection):
    """A worker that was suspended itself cannot conclude that the others are dead."""
    add_worker(tx, "other", START)
    liveness = workers.Liveness()
    assert [liveness.list_live(tx, second) for second in (0.0, 1.0, 2.0, 60.0, 61.0)] == [{"other"}] * 5
    workers.write_heartbeat(tx, "other", run=NAME, account="ses", now=START, monotonic=0.0, liveness=workers.Liveness())
    assert liveness.list_live(tx, 62.0) == {"other"}
    silent = [liveness.list_live(tx, 62.0 + second) for second in range(1, 16)]
    assert silent[-2:] == [{"other"}, set()]  # while one listens, silence is the end
