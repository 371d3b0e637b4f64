"""The report at the end of a launch: when it is written, and that it never fails the launch."""

from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from support.report_figures import make_figures

from engine.cli.commands.report import launch_end
from engine.report.accounts import Accounts
from engine.run.send.work import Launched

RUN = "welcome/2026-12-01"


def make_launched(state: str = "finished", *, workers: int = 0, sent_now: bool = True) -> Launched:
    accounts = Accounts(
        run=RUN, state=state, reason=None, rows_read=1, accepted=1, excluded={}, outcomes={}, store="", workers=workers
    )
    return Launched(accounts, sent_now)


def make_workspace(*, report_at_end: bool = True) -> Any:
    return SimpleNamespace(settings=SimpleNamespace(report_at_end=report_at_end), ledger=None, store=None, clock=None)


@pytest.fixture(autouse=True)
def figures(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Figures are counted in no time; returns the runs whose report is written."""
    written: list[str] = []

    def write(_: object, document: Any) -> str:
        written.append(document.run)
        return "report.html"

    monkeypatch.setattr(launch_end, "_refresh_figures", lambda *_, **__: [RUN])
    monkeypatch.setattr(launch_end, "_read_figures", lambda *_: make_figures())
    monkeypatch.setattr(launch_end, "_write_report", write)
    return written


@pytest.mark.parametrize("state", ["finished", "paused", "cancelled"])
def test_report_is_written_when_a_run_ends(state: str, figures: list[str]):
    assert launch_end.write_at_end(make_workspace(), make_launched(state)) == "report.html"
    assert figures == [RUN]


@pytest.mark.parametrize(
    ("launched", "asked"),
    [
        (make_launched("sending"), True),
        (make_launched(workers=1), True),
        (make_launched(sent_now=False), True),
        (make_launched(), False),
    ],
    ids=["still sending", "another worker", "ended before", "not asked for"],
)
def test_report_is_left_to_the_process_that_ends_the_run(launched: Launched, figures: list[str], *, asked: bool):
    assert launch_end.write_at_end(make_workspace(report_at_end=asked), launched) is None
    assert figures == []


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The logged warnings: event, and what happened."""
    logged: list[tuple[str, str]] = []
    log = SimpleNamespace(warning=lambda event, *, what, **_: logged.append((event, what)))
    monkeypatch.setattr(launch_end, "log", log)
    return logged


def test_failure_is_a_warning(monkeypatch: pytest.MonkeyPatch, warnings: list[tuple[str, str]]):
    def fail(*_: object) -> str:
        raise OSError("no space")

    monkeypatch.setattr(launch_end, "_write_report", fail)
    assert launch_end.write_at_end(make_workspace(), make_launched()) is None
    assert warnings == [("report.not_written", "OSError: no space")]


def test_launch_does_not_wait_for_a_slow_report(monkeypatch: pytest.MonkeyPatch, warnings: list[tuple[str, str]]):
    released = Event()
    monkeypatch.setattr(launch_end, "PATIENCE", dict.fromkeys(launch_end.PATIENCE, 0.01))
    monkeypatch.setattr(launch_end, "_write_report", lambda *_: released.wait(30) and "late.html")
    assert launch_end.write_at_end(make_workspace(), make_launched()) is None
    released.set()
    assert [event for event, _ in warnings] == ["report.not_written"]
