"""A damaged value of the ledger is named, with what to do, wherever it is read."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.clock import VirtualClock
from support.sent_runs import add_run, open_new_workspace

from engine.errors import DataError
from engine.ledger import event_flags, snapshots
from engine.ledger.decisions import list_decisions
from engine.ledger.figures.state_changes import list_state_changes
from engine.ledger.workers import read_vitals, register_worker
from engine.run import control
from engine.run.facts import read_canary_spec, read_facts, read_guard_spec
from engine.workspace import Workspace

RUN = "news/1"
FACTS = (
    "UPDATE run SET sender_domain = 'a.example', transport = 'ses', trial = 0, kind = 'marketing', topic = 'news',"
    " guard = '{}'"
)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_new_workspace(tmp_path / "workspace") as opened:
        add_run(opened, RUN, settled=False)
        control.pause(opened.ledger, RUN, reason="why", clock=opened.clock)
        damage(opened, FACTS)
        yield opened


def damage(workspace: Workspace, statement: str, *values: str) -> None:
    with closing(sqlite3.connect(workspace.settings.ledger_url.removeprefix("sqlite:///"))) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        assert connection.execute(statement, values).rowcount > 0
        connection.commit()


def read_run(workspace: Workspace) -> object:
    return snapshots.find_run(workspace.ledger, RUN)


def read_decisions(workspace: Workspace) -> object:
    with workspace.ledger.read() as tx:
        return list_decisions(tx, RUN)


def read_changes(workspace: Workspace) -> object:
    with workspace.ledger.read() as tx:
        return list_state_changes(tx, RUN)


def read_specs(workspace: Workspace) -> object:
    run = snapshots.find_run(workspace.ledger, RUN)
    assert run is not None
    facts = read_facts(run, workspace.store)
    return read_guard_spec(facts), read_canary_spec(facts)


@pytest.mark.parametrize(
    ("statement", "read"),
    [
        ("UPDATE run SET excluded = 'x'", read_run),
        ("UPDATE run SET excluded = '[1]'", read_run),
        ('UPDATE run SET excluded = \'{"duplicate": "x"}\'', read_run),
        ("UPDATE run SET state = 'on fire'", read_run),
        ("UPDATE run SET created_at = 'yesterday'", read_run),
        ("UPDATE decision SET detail = 'x'", read_decisions),
        ("UPDATE decision SET detail = '[]'", read_decisions),
        ("UPDATE notification SET notice = '7'", read_changes),
        ("UPDATE run SET guard = 'x'", read_specs),
        ("UPDATE run SET canary = '[]'", read_specs),
    ],
)
def test_damaged_value_is_named(workspace: Workspace, statement: str, read: Callable[[Workspace], object]) -> None:
    read(workspace)
    damage(workspace, statement)
    with pytest.raises(DataError, match="damaged value") as error:
        read(workspace)
    assert "restore" in error.value.remedy


def test_damaged_flags_are_named(workspace: Workspace) -> None:
    with workspace.ledger.write() as tx:
        event_flags.set_flags(tx, RUN, {0: [(0, event_flags.Flag.DELIVERED)]}, {0: 8})
    damage(workspace, "UPDATE feedback SET flags = x'0102'")
    with workspace.ledger.read() as tx, pytest.raises(DataError, match="damaged value"):
        event_flags.read_flags(tx, RUN, 0)


@pytest.mark.parametrize("vitals", ["nonsense", "[]", '{"rate_limit": 1}'])
def test_figures_of_a_worker_of_another_version_are_left_out(workspace: Workspace, vitals: str) -> None:
    now = VirtualClock().now()
    with workspace.ledger.write() as tx:
        register_worker(tx, "w", run=RUN, account="a", now=now)
    damage(workspace, "UPDATE worker SET vitals = ?", vitals)
    with workspace.ledger.read() as tx:
        assert read_vitals(tx, RUN, now) == []


def test_reason_of_a_person_is_recorded_up_to_a_length(workspace: Workspace) -> None:
    paused = control.pause(workspace.ledger, RUN, reason="x" * 1_000_000, clock=workspace.clock)
    assert paused.reason is not None
    assert len(paused.reason) < control.LONGEST_REASON + 100
