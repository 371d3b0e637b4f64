"""Logs: plain lines on a terminal, JSON lines anywhere else; always on stderr, and always masked."""

import contextlib
import logging
import sys

import structlog

from engine.masking import mask_value, remember_secrets_of_environment
from engine.quantities import format_number


def configure_logs(*, verbose: bool, only_warnings: bool = False) -> None:
    """Set up logging for a command; `only_warnings` for a process whose parent reports its progress.

    On a terminal only warnings are shown beside the progress bar, unless `verbose`; elsewhere every event is a JSON
    line. Of libraries, only warnings and errors are logged, also with `verbose`: the debug logs of botocore and aiohttp
    contain whole requests. Addresses, tokens and secrets are masked in every event.
    """
    remember_secrets_of_environment()
    terminal = sys.stderr.isatty()
    level = logging.DEBUG if verbose else logging.WARNING if terminal or only_warnings else logging.INFO
    shown = _write_sentence if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            _mask_event,
            shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Printer,
    )
    root = logging.getLogger()
    if not root.handlers:  # a program that uses mailrun as a library has its own
        root.addHandler(_LibraryEvents())
    logging.captureWarnings(capture=True)


def _mask_event(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    masked: structlog.typing.EventDict = mask_value(event)
    return masked


def _write_sentence(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
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
        details = {"exc_info": record.exc_info} if record.exc_info else {}
        structlog.get_logger().log(record.levelno, f"library.{record.name}", note=note, **details)


class _Printer:
    """Prints events on stderr; ignores write errors, because a closed pipe must not stop a run."""

    def __init__(self, *_: object) -> None:
        pass

    def msg(self, text: str) -> None:
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is where logs are printed

    debug = info = warning = error = critical = exception = log = msg
