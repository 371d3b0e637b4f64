"""The command line as a contract: help, exit codes, and what goes to which stream."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from support.clock import START

from engine.cli.common import Common, with_common
from engine.cli.console import print_json
from engine.cli.main import main
from engine.cli.options import make_common_options
from engine.cli.output import describe_forecast
from engine.cli.progress import LINE_SECONDS, Lines
from engine.cli.run_output import format_outcomes, format_seconds
from engine.cli.table import cli
from engine.errors import (
    ConfigurationError,
    DataError,
    ExitCode,
    MailrunError,
    PausedError,
    ServiceError,
    UsageError,
    nearest,
)
from engine.ledger.journal import Outcome
from engine.logs import configure_logs, get_logger
from engine.report.accounts import Accounts
from engine.run.prepare.run_forecast import RunForecast

# -- exit codes --------------------------------------------------------------------------------------------------------


@pytest.fixture
def end_with(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """Runs `mailrun fail` where the command ends as configured; returns the exit code."""

    def run(ending: BaseException | int | None, *arguments: str) -> int:
        @click.command("fail")
        @click.option("--json", "as_json", is_flag=True)
        def fail(*, as_json: bool) -> int | None:  # noqa: ARG001 - the error border reads it
            if isinstance(ending, BaseException):
                raise ending
            return ending

        monkeypatch.setitem(cli.commands, "fail", fail)
        monkeypatch.setattr(sys, "argv", ["mailrun", "fail", *arguments])
        with pytest.raises(SystemExit) as raised:
            main()
        assert isinstance(raised.value.code, int)
        return raised.value.code

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (None, 0),
        (ExitCode.FINISHED_WITH_LOSSES, 3),
        (ExitCode.PAUSED, 75),
        (UsageError("x", remedy="y"), 64),
        (click.UsageError("x"), 64),
        (DataError("x", remedy="y"), 65),
        (ServiceError("x", remedy="y"), 69),
        (PausedError("x", remedy="y"), 75),
        (KeyboardInterrupt(), 75),
        (click.Abort(), 75),
        (ConfigurationError("x", remedy="y"), 78),
        (MailrunError("x", remedy="y"), 1),
    ],
    ids=repr,
)
def test_every_ending_has_its_exit_code(end_with: Callable[..., int], ending: BaseException | int | None, code: int):
    assert end_with(ending) == code


def test_bug_is_reported_as_one_with_its_traceback(end_with: Callable[..., int], capsys: pytest.CaptureFixture[str]):
    assert end_with(ZeroDivisionError("by 0"), "--json") == 1
    told = capsys.readouterr()
    assert "ZeroDivisionError: by 0" in told.err
    assert json.loads(told.out)["error"]["what"] == "this is a bug in mailrun"


def test_an_error_says_what_where_and_what_to_do_on_stderr(
    end_with: Callable[..., int], capsys: pytest.CaptureFixture[str]
):
    end_with(DataError("the row is torn", where="a.csv:7", remedy="fix the row"))
    told = capsys.readouterr()
    assert told.err.splitlines() == ["error: the row is torn", "   at: a.csv:7", "   do: fix the row"]
    assert told.out == ""


def test_json_error_is_one_document_on_stdout_and_a_line_on_stderr(
    end_with: Callable[..., int], capsys: pytest.CaptureFixture[str]
):
    end_with(DataError("torn", where="a.csv:7", remedy="fix it"), "--json")
    told = capsys.readouterr()
    error = {"what": "torn", "where": "a.csv:7", "remedy": "fix it", "exit_code": 65}
    assert json.loads(told.out) == {"error": error}
    (line,) = told.err.splitlines()
    assert json.loads(line)["error"] == error
    assert {"event", "level", "at"} < set(json.loads(line))


def test_json_asked_for_after_two_dashes_is_an_argument(
    end_with: Callable[..., int], capsys: pytest.CaptureFixture[str]
):
    assert end_with(None, "--", "--json") == 64
    assert capsys.readouterr().err.startswith("error: ")


def test_a_name_that_is_not_utf_8_is_refused_wherever_it_was_met(
    end_with: Callable[..., int], capsys: pytest.CaptureFixture[str]
):
    error = UnicodeEncodeError("utf-8", "caf\udce9.csv", 3, 4, "surrogates not allowed")
    assert end_with(error) == 65
    assert "caf\\xe9.csv is not valid UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "as_json", "store"),
    [
        (["--json", "--store", "a", "status"], True, "a"),
        (["status", "--json", "--store", "a"], True, "a"),
        (["--store", "a", "status", "--store", "b"], False, "b"),
        (["--json", "suppress", "--store", "a", "list"], True, "a"),
        (["--store", "a", "suppress", "--store", "b", "list"], False, "b"),
    ],
)
def test_common_options_stand_before_or_after_the_command(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], *, as_json: bool, store: str
):
    heard: list[Common] = []

    @with_common
    def listen(common: Common) -> None:
        heard.append(common)

    hear = click.Command("heard", callback=listen, params=[*make_common_options()])
    suppress = cli.commands["suppress"]
    assert isinstance(suppress, click.Group)
    monkeypatch.setitem(cli.commands, "status", hear)
    monkeypatch.setitem(suppress.commands, "list", hear)
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    assert [(common.json, common.store) for common in heard] == [(as_json, store)]


def test_json_is_one_line_where_no_person_reads_it(capsys: pytest.CaptureFixture[str]):
    print_json({"a": [1, 2]})
    assert capsys.readouterr().out == '{"a": [1, 2]}\n'


def test_an_unknown_option_names_the_command_and_its_help(
    end_with: Callable[..., int], capsys: pytest.CaptureFixture[str]
):
    assert end_with(None, "--what") == 64
    told = capsys.readouterr().err
    assert "--what" in told
    assert "fail --help" in told


@pytest.mark.parametrize(
    "arguments",
    [
        ("resolve", "hello/test", "--sent", "--resend"),
        ("resolve", "hello/test", "--from-events", "--after-restore"),
        ("suppress", "sync", "--pull", "--push"),
    ],
)
def test_flags_that_contradict_each_other_are_refused_together(arguments: tuple[str, ...]):
    refused = CliRunner().invoke(cli, arguments)
    assert refused.exit_code != 0
    assert "exclude each other" in refused.output
    assert all(flag in refused.output for flag in arguments[2:])


def test_an_error_without_a_place_says_nothing_of_one():
    assert str(UsageError("what", remedy="remedy")) == "what; remedy"
    assert str(UsageError("what", where="here", remedy="remedy")) == "what (here); remedy"


def test_the_nearest_word_is_named_and_all_that_there_are():
    assert nearest("lunch", ["launch", "plan"]) == "did you mean launch? Available: launch, plan"
    assert nearest("xyz", ["launch", "plan"]) == "available: launch, plan"
    assert nearest("xyz", []) == "available: none"
    assert nearest("MAILRUN_LEDGR", ["MAILRUN_LEDGER"]) == "did you mean MAILRUN_LEDGER? Available: MAILRUN_LEDGER"


# -- words and progress ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "1 s"), (0.4, "1 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (75, "1 min 15 s"), (3599.6, "1 h 0 min"),
     (11_000, "3 h 3 min"), (360_000, "100 h 0 min")],
)  # fmt: skip
def test_duration_is_formatted_in_the_units_that_matter(seconds: float, words: str):
    assert format_seconds(seconds) == words


def test_outcomes_are_formatted_in_words_without_zeros():
    counts = {Outcome.SENT: 1000, Outcome.REFUSED: 0, Outcome.IN_DOUBT: 1}
    assert format_outcomes(counts, only_losses=False) == "1,000 sent, 1 in doubt"
    assert format_outcomes(counts, only_losses=True) == "1 in doubt"


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, object]]]:
    """Reads the lines that were logged."""

    def read() -> list[dict[str, object]]:
        told = capsys.readouterr()
        assert told.out == ""
        return [json.loads(line) for line in told.err.splitlines()]

    return read


def accounts_of(accepted: int, **outcomes: int) -> Accounts:
    return Accounts(
        run="welcome/1",
        state="sending",
        reason=None,
        rows_read=accepted,
        accepted=accepted,
        excluded={},
        outcomes={Outcome(name): count for name, count in outcomes.items()},
        started_at=START,
        store=Path("/store"),
    )


def test_a_log_line_on_a_terminal_has_numbers_for_people_and_no_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    configure_logs(verbose=True)
    get_logger().warning("run.resumed", note="sending resumes", rate=10_000.0, reason=None, run="a/b")
    assert capsys.readouterr().err == "warning: sending resumes (rate 10,000, run a/b)\n"


@pytest.mark.parametrize(
    ("seconds", "recipients", "rate", "words"),
    [
        (1.0, 10_000, 10_000.0, "about 1 s at 10,000 a second"),
        (2_000.0, 500, 0.25, "about 33 min 20 s at 0.25 a second"),
    ],
)
def test_a_forecast_is_printed_with_numbers_for_people(seconds: float, recipients: int, rate: float, words: str):
    assert words in describe_forecast(RunForecast(rate, seconds, None, None), recipients)


def test_progress_in_a_pod_is_json_lines_on_stderr(logged: Callable[[], list[dict[str, object]]]):
    configure_logs(verbose=False)
    with Lines("welcome/1") as progress:
        progress.begin(accounts_of(10, sent=3))
        for recipients in (1, 99):
            progress.count(Outcome.SENT, recipients)
    begin, end = logged()
    assert {
        "event": "run.begin",
        "run": "welcome/1",
        "level": "info",
        "accepted": 10,
        "done": 3,
        "sent": 3,
    }.items() <= begin.items()
    assert {"event": "run.end", "done": 103, "sent": 103}.items() <= end.items()


def test_progress_is_reported_every_few_seconds(logged: Callable[[], list[dict[str, object]]]):
    configure_logs(verbose=False)
    with Lines("welcome/1") as progress:
        progress.begin(accounts_of(10))
        progress._next -= LINE_SECONDS  # as after so much time
        progress.count(Outcome.SENT, 1)
        progress.count(Outcome.REFUSED, 1)
    assert [line["event"] for line in logged()] == ["run.begin", "run.progress", "run.end"]


def test_launch_that_began_nothing_reports_no_progress(logged: Callable[[], list[dict[str, object]]]):
    configure_logs(verbose=False)
    with Lines("welcome/1"):
        pass
    assert logged() == []


@pytest.mark.parametrize(("verbose", "reported"), [(False, ["info", "warning"]), (True, ["debug", "info", "warning"])])
def test_debug_lines_are_logged_only_when_asked_for(
    capsys: pytest.CaptureFixture[str],
    verbose: bool,  # noqa: FBT001 - a parameter of the case
    reported: list[str],
):
    configure_logs(verbose=verbose)
    log = get_logger()
    for level in ("debug", "info", "warning"):
        getattr(log, level)("x.y")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["level"] for line in lines] == reported
    assert all(line["at"].endswith("Z") for line in lines)
