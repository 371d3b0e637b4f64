"""Log events: what is in a line, and that loggers that modules keep follow later settings."""

import json
import logging

import pytest

from engine.logs import capture_logs, configure_logs, get_logger

Printed = pytest.CaptureFixture[str]


def fail() -> Exception:
    try:
        int("not sent to ann@b.example")
    except ValueError as error:
        return error
    raise AssertionError


def test_event_is_one_json_line_with_its_details_first(capsys: Printed):
    get_logger().bind(run="a/1").warning("run.pause", count=2, known={"a"})
    line = json.loads(capsys.readouterr().err)
    assert list(line) == ["run", "count", "known", "event", "level", "at"]
    assert line["known"] == ["a"]
    assert (line["event"], line["level"], line["at"][-1]) == ("run.pause", "warning", "Z")


@pytest.mark.parametrize("form", ["error", "triple"])
def test_exception_is_logged_as_its_masked_traceback(form: str, capsys: Printed):
    error = fail()
    given = error if form == "error" else (type(error), error, error.__traceback__)
    get_logger().error("worker.failed", exc_info=given)
    written = json.loads(capsys.readouterr().err)["exception"]
    assert written.startswith("Traceback (most recent call last):\n")
    assert written.endswith("'not sent to a***@b.example'")


def test_logger_follows_settings_that_are_made_later(capsys: Printed):
    log = get_logger()
    configure_logs(verbose=False, only_warnings=True)
    log.info("hidden")
    log.log(logging.ERROR, "shown")
    configure_logs(verbose=True)
    log.debug("shown too")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["shown", "shown too"]


def test_captured_events_are_not_printed(capsys: Printed):
    with capture_logs() as events:
        get_logger().debug("x.y", row=3)
    get_logger().info("after")
    assert [(event["event"], event["row"]) for event in events] == [("x.y", 3)]
    assert "x.y" not in capsys.readouterr().err
