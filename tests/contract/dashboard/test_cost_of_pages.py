"""Opening a page costs the same for any number of events: they are counted when they are processed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert
from support.clock import START
from support.dashboard import ask, open_dashboard
from support.sent_runs import add_events, add_run, make_event_of_row, open_new_workspace

from engine.dashboard.pages.run_list import PAGE_SIZE
from engine.ledger.schema import RunState, feedback_table, lease_table, run_table
from engine.report.figures.figures_file import refresh_figures
from engine.workspace import Workspace

RUN = "welcome/2026-11-24"
PATHS = ("/", f"/runs/{RUN}", f"/runs/{RUN}/errors", f"/runs/{RUN}/report", f"/runs/{RUN}/report/document")
KINDS = ("Delivery", "Open", "Click", "Complaint")


@contextmanager
def counting(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[str], list[int]]]:
    """Collect the statements of the ledger, and the bytes that are read from the store."""
    statements: list[str] = []
    sizes: list[int] = []
    engine: Any = workspace.ledger._engine
    store: Any = type(workspace.store)
    original = store.read

    def note(*arguments: Any) -> None:
        statements.append(arguments[2])

    def read(self: Any, key: str) -> bytes | None:
        data: bytes | None = original(self, key)
        sizes.append(len(data or b""))
        return data

    event.listen(engine, "before_cursor_execute", note)
    with monkeypatch.context() as patched:
        patched.setattr(store, "read", read)
        yield statements, sizes
    event.remove(engine, "before_cursor_execute", note)


def measure(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, int, int]]:
    """Return for each page: statements, files read, and bytes of the page in steps of 4 kB."""
    found: dict[str, tuple[int, int, int]] = {}
    with open_dashboard(workspace) as url:
        for path in PATHS:
            with counting(workspace, monkeypatch) as (statements, sizes):
                reply = ask(url, path)
            assert reply.status == 200, path
            assert sum(sizes) < 100_000, path
            found[path] = len(statements), len(sizes), len(reply.text) // 4096
    return found


def test_pages_cost_the_same_for_any_number_of_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements and files stay the same, and no page reads an event, a plan or a file of outcomes."""
    with open_new_workspace(tmp_path / "w") as workspace:
        add_run(workspace, RUN)
        add_events(workspace, [make_event_of_row(KINDS[0], RUN, 0, "person0@x.example")])
        refresh_figures(workspace.ledger, workspace.store, workspace.clock, [RUN], is_forced=True)
        few = measure(workspace, monkeypatch)
        add_events(
            workspace,
            [make_event_of_row(kind, RUN, row, f"person{row}@x.example") for row in range(30) for kind in KINDS] * 4,
        )
        refresh_figures(workspace.ledger, workspace.store, workspace.clock, [RUN], is_forced=True)
        many = measure(workspace, monkeypatch)
    assert {path: cost[:2] for path, cost in many.items()} == {path: cost[:2] for path, cost in few.items()}
    assert all(many[path][2] <= few[path][2] + 2 for path in PATHS)
    assert max(statements for statements, _, _ in many.values()) <= 30


def fill_ledger(workspace: Workspace, runs: int) -> None:
    """Add finished runs with one lease and its events."""
    names = [f"c{number % 7}/{number:05d}" for number in range(runs)]
    of_run = {
        "state": RunState.FINISHED, "sandbox": False, "folder": "f", "manifest_digest": "d", "rows_read": 100,
        "accepted": 100, "excluded": "{}", "created_at": START, "started_at": START, "finished_at": START,
    }  # fmt: skip
    of_lease = {"ordinal": 0, "rows": 100, "epoch": 1, "settled_at": START, "sent": 99, "refused": 1}
    counted = {column.name: 7 for column in feedback_table.columns if column.name not in ("run", "lease", "flags")}
    with workspace.ledger.write() as tx:
        tx.execute(insert(run_table), [{"name": name, **of_run} for name in names])
        tx.execute(insert(lease_table), [{"run": name, "failed": 0, "in_doubt": 0, **of_lease} for name in names])
        tx.execute(insert(feedback_table), [{"run": name, "lease": 0, "flags": b"x", **counted} for name in names])


def test_the_list_of_a_thousand_runs_is_read_by_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_new_workspace(tmp_path / "w") as workspace:
        fill_ledger(workspace, 1_000)
        with open_dashboard(workspace) as url, counting(workspace, monkeypatch) as (statements, sizes):
            page = ask(url, "/").text
            last = ask(url, "/?page=10").text
            found = ask(url, "/?q=c3+0017").text
            beyond = ask(url, "/?page=11").text
    assert page.count('<tr role="row" class="link">') == last.count('<tr role="row" class="link">') == PAGE_SIZE
    assert "1,000 runs, page 1 of 10" in page
    assert found.count('<tr role="row" class="link">') == 3  # 00017, 00171 and 00178
    assert "No run matches" in beyond
    assert (len(statements) <= 4 * 9, sizes) == (True, [])
    assert 'href="/?page=2"' in page
    assert 'href="/?page=9"' in last
