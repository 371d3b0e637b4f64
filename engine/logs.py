"""Logs: plain lines on a terminal, JSON lines anywhere else; always on stderr, and always masked."""

import contextlib
import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from engine.masking import mask_value, remember_secrets_of_environment
from engine.quantities import format_number

Event = dict[str, Any]


def _write_line(event: Event) -> str:
    return json.dumps(event, default=repr)


class _Output:
    """What is logged, and how: of the process."""

    def __init__(self) -> None:
        self.level = logging.INFO
        self.write: Callable[[Event], str] = _write_line
        self.take: Callable[[Event], None] | None = None


_output = _Output()


class Logger:
    """Logs events: a name, and details by keyword.

    Args:
        bound: details of every event.
    """

    def __init__(self, **bound: Any) -> None:
        self._bound = bound

    def bind(self, **details: Any) -> "Logger":
        """Make a logger with more details in every event."""
        return Logger(**self._bound, **details)

    def debug(self, event: str, **details: Any) -> None:
        """Log what only `-v` shows."""
        self.log(logging.DEBUG, event, **details)

    def info(self, event: str, **details: Any) -> None:
        """Log what happens."""
        self.log(logging.INFO, event, **details)

    def warning(self, event: str, **details: Any) -> None:
        """Log what a person should look at."""
        self.log(logging.WARNING, event, **details)

    def error(self, event: str, **details: Any) -> None:
        """Log what has failed."""
        self.log(logging.ERROR, event, **details)

    def critical(self, event: str, **details: Any) -> None:
        """Log what nothing can recover from."""
        self.log(logging.CRITICAL, event, **details)

    def log(self, level: int, event: str, **details: Any) -> None:
        """Log at a level of `logging`; `exc_info` is an exception, or the triple of `sys.exc_info`."""
        if level < _output.level:
            return
        error = details.pop("exc_info", None)
        at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        found = {**self._bound, **details, "event": event, "level": logging.getLevelName(level).lower(), "at": at}
        if error:
            found["exception"] = "".join(traceback.format_exception(error[1] if isinstance(error, tuple) else error))
            found["exception"] = found["exception"].rstrip("\n")
        masked = mask_value(found)
        if _output.take is not None:
            _output.take(masked)
            return
        with contextlib.suppress(OSError):  # a closed pipe must not stop a run
            print(_output.write(masked), file=sys.stderr, flush=True)  # noqa: T201 - this is where logs are printed


def get_logger() -> Logger:
    """Return a logger; how it logs is decided at each event, so a module may keep one."""
    return Logger()


def configure_logs(*, verbose: bool, only_warnings: bool = False) -> None:
    """Set up logging for a command; `only_warnings` for a process whose parent reports its progress.

    On a terminal only warnings are shown beside the progress bar, unless `verbose`; elsewhere every event is a JSON
    line. Of libraries, only warnings and errors are logged, also with `verbose`: the debug logs of botocore and aiohttp
    contain whole requests. Addresses, tokens and secrets are masked in every event.
    """
    remember_secrets_of_environment()
    terminal = sys.stderr.isatty()
    _output.level = logging.DEBUG if verbose else logging.WARNING if terminal or only_warnings else logging.INFO
    _output.write = _write_sentence if terminal else _write_line
    root = logging.getLogger()
    if not root.handlers:  # a program that uses mailrun as a library has its own
        root.addHandler(_LibraryEvents())
    logging.captureWarnings(capture=True)


def reset_logs() -> None:
    """Log as before `configure_logs`: JSON lines of level `info` and above."""
    vars(_output).update(vars(_Output()))


@contextlib.contextmanager
def capture_logs() -> Iterator[list[Event]]:
    """Collect the events of all levels of this process in a list, instead of printing them."""
    events: list[Event] = []
    before = vars(_output).copy()
    _output.level, _output.take = logging.DEBUG, events.append
    try:
        yield events
    finally:
        vars(_output).update(before)


def _write_sentence(event: Event) -> str:
    """Write an event for a person: its note where it has one, then the rest in brackets, and a traceback below."""
    level, name, _ = event.pop("level"), event.pop("event"), event.pop("at")
    trace = event.pop("exception", "")
    text = event.pop("note", name)
    shown = {key: format_number(value) if isinstance(value, float) else value for key, value in event.items()}
    rest = ", ".join(f"{key} {value}" for key, value in shown.items() if value is not None)
    return f"{level}: {text}" + (f" ({rest})" if rest else "") + (f"\n{trace}" if trace else "")


class _LibraryEvents(logging.Handler):
    """Turns log records of libraries and of asyncio, and Python's warnings, into events of mailrun."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record."""
        try:
            note = record.getMessage()
        except (TypeError, ValueError):  # a message that does not match its arguments
            note = str(record.msg)
        details = {"exc_info": record.exc_info} if record.exc_info and record.exc_info[1] else {}
        get_logger().log(record.levelno, f"library.{record.name}", note=note, **details)
