"""The newest errors of a run: from settled files and open journals, masked, and never more than a few files."""

from pathlib import Path
from typing import Any

import pytest
from support.dashboard import ask, open_dashboard
from support.sent_runs import add_run, open_new_workspace

from engine.dashboard import recent_errors
from engine.dashboard.recent_errors import read_recent_errors
from engine.ledger import leases
from engine.ledger.journal import Outcome, Result

RUN = "welcome/2026-11-24"


def fail(number: int) -> Result:
    return Result(0, Outcome.FAILED, None, f"ServiceUnavailable: request {number}0000001 of ann@b.example", 0, 5)


@pytest.mark.parametrize("settled", [True, False])
def test_errors_are_grouped_without_what_differs(tmp_path: Path, *, settled: bool) -> None:
    with open_new_workspace(tmp_path / "w") as workspace:
        outcomes = {f"person{number}@x.example": fail(number) for number in range(7)}
        run = add_run(workspace, RUN, outcomes=outcomes, settled=settled)
        found = read_recent_errors(workspace, run)
    (cause,) = found.causes["failed"]
    assert (cause.rows, found.recipients) == (7, 7)
    assert cause.name == "ServiceUnavailable: request … of …"
    assert len(cause.examples) == 3
    assert all("@x.example" in example for example in cause.examples) == settled
    assert "person" not in str(cause.examples)


def test_a_page_reads_no_more_files_for_a_larger_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_errors, "MOST_LEASES", 2)
    people = "email\n" + "".join(f"person{number}@x.example\n" for number in range(1_500))
    with open_new_workspace(tmp_path / "w") as workspace:
        outcomes = {f"person{number}@x.example": fail(number) for number in range(1_500)}
        run = add_run(workspace, RUN, people, outcomes=outcomes)
        read: list[str] = []
        kind: Any = type(workspace.store)
        original = kind.read

        def note(store: Any, key: str) -> bytes | None:
            read.append(key)
            data: bytes | None = original(store, key)
            return data

        monkeypatch.setattr(kind, "read", note)
        found = read_recent_errors(workspace, run)
    assert len(read) == 2
    assert 0 < found.recipients < 1_500


def test_a_pruned_run_has_no_errors_to_read(tmp_path: Path) -> None:
    with open_new_workspace(tmp_path / "w") as workspace:
        run = add_run(workspace, RUN, outcomes={"person1@x.example": fail(1)})
        with workspace.ledger.write() as tx:
            leases.collapse_leases(tx, RUN, workspace.clock.now())
        assert read_recent_errors(workspace, run).recipients == 0
        with open_dashboard(workspace) as url:
            page = ask(url, f"/runs/{RUN}/errors")
    assert (page.status, "Failed" in page.text) == (200, True)
