"""The document of figures in the store: replaced whole, counted again in time, and gone with what it was made from."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from support.clock import VirtualClock
from support.sent_runs import SENT_AT, add_events, add_run, make_event_of_row, open_new_workspace

from engine.errors import DataError
from engine.ledger.suppressed.opt_outs import OptOut, OptOutMethod, record_opt_outs
from engine.report.figures.figures_file import (
    REST,
    STALE,
    mark_figures,
    read_figures,
    refresh_figures,
    renew_figures,
    write_figures,
)
from engine.run.retain.forget import forget_address
from engine.run.retain.prune import find_prunable, prune
from engine.workspace import Workspace

RUN = "news/1"
DEEP = b'{"version": 1, "x": ' + b"[" * 100_000
KEY = f"runs/{RUN}/report/figures.json"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_new_workspace(tmp_path / "workspace") as opened:
        add_run(opened, RUN)
        yield opened


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def refresh(workspace: Workspace, clock: VirtualClock, *runs: str, **more: bool) -> list[str]:
    return refresh_figures(workspace.ledger, workspace.store, clock, runs, **more)


def test_figures_are_read_as_they_were_written(workspace: Workspace, clock: VirtualClock) -> None:
    assert read_figures(workspace.store, RUN) is None
    written = renew_figures(workspace.ledger, workspace.store, clock, RUN)
    found = read_figures(workspace.store, RUN)
    assert found is not None
    assert msgspec.json.encode(found) == msgspec.json.encode(written)
    assert (workspace.store.local_folder / KEY).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"version": 2}', b'{"version": 1, "run": "news/1"}', b"\xff", b"[1]", DEEP]
)
def test_damaged_figures_and_those_of_another_version_are_none(workspace: Workspace, data: bytes) -> None:
    workspace.store.write(KEY, data)
    assert read_figures(workspace.store, RUN) is None


def test_older_figures_do_not_replace_newer_ones(workspace: Workspace, clock: VirtualClock) -> None:
    newer = renew_figures(workspace.ledger, workspace.store, clock, RUN)
    write_figures(
        workspace.store, replace(newer, made_at=newer.made_at - timedelta(seconds=1), subject="old"), clock.now()
    )
    found = read_figures(workspace.store, RUN)
    assert found is not None
    assert found.subject == newer.subject


def test_figures_of_a_clock_that_was_ahead_are_replaced(workspace: Workspace, clock: VirtualClock) -> None:
    found = renew_figures(workspace.ledger, workspace.store, clock, RUN)
    ahead = replace(found, made_at=found.made_at + timedelta(days=900), subject="ahead")
    write_figures(workspace.store, ahead, ahead.made_at)
    renew_figures(workspace.ledger, workspace.store, clock, RUN)
    again = read_figures(workspace.store, RUN)
    assert again is not None
    assert again.subject == found.subject


def test_the_end_of_a_launch_counts_its_run_alone(workspace: Workspace, clock: VirtualClock) -> None:
    add_run(workspace, "news/2", at=SENT_AT + timedelta(days=1))
    mark_figures(workspace.store, "news/2")
    assert refresh(workspace, clock, RUN, is_forced=True) == [RUN]
    assert refresh(workspace, clock) == ["news/2"]


def test_a_run_rests_ten_times_as_long_as_counting_took(workspace: Workspace, clock: VirtualClock) -> None:
    slow = replace(renew_figures(workspace.ledger, workspace.store, clock, RUN), took_seconds=6.0)
    write_figures(workspace.store, slow, clock.now())
    clock.advance(6.0 * REST - 1)
    assert refresh(workspace, clock, RUN) == []
    assert workspace.store.list_names(STALE) == {"news.1"}
    assert refresh(workspace, clock, RUN, is_forced=True) == [RUN]
    assert workspace.store.list_names(STALE) == set()
    write_figures(workspace.store, replace(slow, made_at=clock.now()), clock.now())
    assert refresh(workspace, clock, RUN) == []
    clock.advance(6.0 * REST)
    assert refresh(workspace, clock) == [RUN]  # though no event of the run has arrived since
    assert workspace.store.list_names(STALE) == set()


def test_a_run_that_is_counted_fast_is_always_counted(workspace: Workspace, clock: VirtualClock) -> None:
    assert refresh(workspace, clock, RUN) == [RUN]
    assert refresh(workspace, clock, RUN) == [RUN]
    assert refresh(workspace, clock) == []


def test_a_run_is_counted_again_after_an_opt_out_by_its_link(workspace: Workspace, clock: VirtualClock) -> None:
    refresh(workspace, clock, RUN)
    clock.advance(60)
    with workspace.ledger.write() as tx:
        record_opt_outs(tx, [OptOut(RUN, 0, 3, clock.now(), OptOutMethod.ONE_CLICK)])
    clock.advance(60)
    assert refresh(workspace, clock) == [RUN]
    found = read_figures(workspace.store, RUN)
    assert found is not None
    assert found.unsubscribes.one_click == found.unsubscribes.total == 1
    assert refresh(workspace, clock) == []


def test_a_failure_is_logged_and_the_other_runs_are_counted(
    workspace: Workspace, clock: VirtualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    add_run(workspace, "news/2", at=SENT_AT + timedelta(days=1))
    (workspace.store.local_folder / "runs" / RUN / "run.json").write_text("nonsense", encoding="utf-8")
    assert refresh(workspace, clock, "news/none", RUN, "news/2") == ["news/2"]
    assert "figures.not_counted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("run.json", b'{"plan_files": 5, "leases": []}'),
        ("run.json", b'{"plan_files": [5], "leases": [{"x": 1}]}'),
        ("run.json", DEEP),
        ("plan/recipients-0000.parquet", b"PAR1 and nonsense"),
        ("plan/recipients-0000.parquet", b""),
        ("outcomes/lease-00000-1.parquet", b"nonsense"),
    ],
)
def test_damaged_files_are_named_with_what_to_do(
    workspace: Workspace, clock: VirtualClock, file: str, data: bytes
) -> None:
    path = workspace.store.local_folder / "runs" / RUN / file
    assert path.is_file()
    path.write_bytes(data)
    with pytest.raises(DataError, match="damaged") as error:
        renew_figures(workspace.ledger, workspace.store, clock, RUN)
    assert RUN in str(error.value.where)
    assert "restore" in error.value.remedy


def test_prune_removes_figures_and_they_do_not_come_back(workspace: Workspace, clock: VirtualClock) -> None:
    refresh(workspace, clock, RUN)
    mark_figures(workspace.store, RUN)
    clock.advance(10 * 86_400)
    found = find_prunable(workspace.ledger, workspace.store, older_than=timedelta(days=1), clock=clock)
    assert [run.name for run in found.runs] == [RUN]
    prune(found, workspace.ledger, workspace.store, clock)
    assert read_figures(workspace.store, RUN) is None
    assert refresh(workspace, clock, RUN) == []
    assert (read_figures(workspace.store, RUN), workspace.store.list_names(STALE)) == (None, set())


def test_forget_leaves_no_trace_of_a_person_in_figures(tmp_path: Path, clock: VirtualClock) -> None:
    """Their only bounce, their domain and the line of their row are gone; the counts stay."""
    person, rows = "zoe.zulu@zulu.example", "email\nann@x.example\nzoe.zulu@zulu.example\nzoe.zulu@zulu.example\n"
    to = [{"emailAddress": person, "status": "5.1.1", "diagnosticCode": "smtp; 550 Zoe Zulu has left"}]
    with open_new_workspace(tmp_path / "workspace") as workspace:
        add_run(workspace, RUN, rows)
        add_events(workspace, [
            make_event_of_row("Bounce", RUN, 2, person, bouncedRecipients=to),
            make_event_of_row("Click", RUN, 2, person, link="https://zulu.example/"),
        ])  # fmt: skip
        refresh(workspace, clock, RUN)
        before = read_figures(workspace.store, RUN)
        assert before is not None
        text = msgspec.json.encode(before).decode()
        assert all(trace in text for trace in ("z***@zulu.example", "line 4", "Zulu has left", "https://zulu.example/"))
        forget_address(person, workspace.ledger, workspace.store, clock)
        assert read_figures(workspace.store, RUN) is None
        refresh(workspace, clock, RUN, is_forced=True)
        after = read_figures(workspace.store, RUN)
        assert after is not None
        text = msgspec.json.encode(after).decode().lower()
        assert not any(trace in text for trace in ("z***", "zulu", "zoe", "line 3", "line 4"))
        assert (after.feedback, after.accounts) == (before.feedback, before.accounts)
        assert sum(one.recipients for one in after.bounces) == 1
