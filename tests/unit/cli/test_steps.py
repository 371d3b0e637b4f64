"""Steps of long work: what a terminal and a pod see of them, and where the time went."""

import io
import json
from collections.abc import Iterator

import pytest
from rich.console import Console

from engine.cli.steps import LINE_SECONDS, StepBar, StepReporter, report_steps
from engine.logs import configure_logs, reset_logs
from engine.progress import listen, step

Lines = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def default_logs() -> Iterator[None]:
    yield
    reset_logs()


def read_lines(capsys: Lines) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_step_reporter_logs_the_innermost_step(capsys: Lines):
    configure_logs(verbose=False)
    reporter = StepReporter()
    with listen(reporter), step("planning"):
        with step("reading the audience", "rows", 10) as reading:
            reading.advance(4)
            reporter.tick()
        reporter.tick()
    reporter.close()
    inner, outer = read_lines(capsys)
    expected = {"event": "step.progress", "step": "reading the audience", "done": 4, "total": 10, "unit": "rows"}
    assert expected.items() <= inner.items()
    assert outer["step"] == "planning"
    assert LINE_SECONDS == 10


def test_step_reporter_is_silent_when_nothing_is_running_or_shows_itself(capsys: Lines):
    configure_logs(verbose=False)
    reporter = StepReporter()
    with listen(reporter):
        reporter.tick()
        with step("sending", is_shown=False):
            reporter.tick()
    reporter.close()
    assert read_lines(capsys) == []


def test_verbose_says_where_the_time_went(capsys: Lines):
    configure_logs(verbose=True)
    with report_steps(), step("planning"), step("reading the audience", "rows") as reading:
        reading.advance(3)
    reading_end, planning_end, whole = read_lines(capsys)
    assert {"event": "step.end", "step": "reading the audience", "done": 3}.items() <= reading_end.items()
    assert planning_end["step"] == "planning"
    assert set(whole["steps"]) == {"starting", "planning"}  # type: ignore[call-overload] # an object of JSON
    assert str(whole["note"]).startswith("the command took ")


def test_failed_step_is_ended(capsys: Lines):
    configure_logs(verbose=True)
    with pytest.raises(ZeroDivisionError), report_steps(), step("planning"):
        raise ZeroDivisionError
    assert [line["event"] for line in read_lines(capsys)] == ["step.end", "command.end"]


def test_step_bar_counts_on_a_terminal_and_goes_at_the_end():
    terminal = io.StringIO()
    bar = StepBar(Console(file=terminal, force_terminal=True, width=100, color_system=None))
    with listen(bar), step("rendering", "messages", 10_000) as rendering:
        rendering.advance(2_500)
        bar.tick()
        assert "rendering" in terminal.getvalue()
        assert "2,500 of 10,000 messages" in terminal.getvalue()
    bar.close()
    assert terminal.getvalue().endswith("\x1b[?25h\x1b[1A\x1b[2K") or terminal.getvalue().endswith("\x1b[2K")


def test_step_without_a_listener_costs_nothing():
    with step("planning", "rows", 3) as planning:
        planning.advance(2)
    assert planning.done == 2
