"""Logs: plain lines on a terminal, JSON lines anywhere else; always on stderr."""

import contextlib
import logging
import sys

import structlog

from engine.quantities import format_number


def configure_logs(*, verbose: bool, only_warnings: bool = False) -> None:
    """Set up logging for a command; `only_warnings` for a process that another one speaks for.

    On a terminal only warnings are told beside the progress bar, unless `verbose`; elsewhere every event is a JSON
    line. Events carry no whole addresses and no secrets.
    """
    terminal = sys.stderr.isatty()
    level = logging.DEBUG if verbose else logging.WARNING if terminal or only_warnings else logging.INFO
    shown = _write_sentence if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Printer,
    )


def _write_sentence(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    """Write an event for a person: its note where it has one, then the rest in brackets."""
    level, name, _ = event.pop("level"), event.pop("event"), event.pop("at")
    said = event.pop("note", name)
    told = {key: format_number(value) if isinstance(value, float) else value for key, value in event.items()}
    rest = ", ".join(f"{key} {value}" for key, value in told.items() if value is not None)
    return f"{level}: {said}" + (f" ({rest})" if rest else "")


class _Printer:
    """Prints events on stderr; whoever read it may have gone, and that must not end a run."""

    def __init__(self, *_: object) -> None:
        pass

    def msg(self, text: str) -> None:
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is where logs are printed

    debug = info = warning = error = critical = exception = log = msg
