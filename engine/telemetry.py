"""Logs: plain lines on a terminal, JSON lines anywhere else; always on stderr."""

import logging
import sys

import structlog


def configure_logs(*, verbose: bool) -> None:
    """Set up logging for a command.

    On a terminal only warnings are told beside the progress bar, unless `verbose`; elsewhere every event is a JSON
    line. Events carry no whole addresses and no secrets.
    """
    terminal = sys.stderr.isatty()
    level = logging.DEBUG if verbose else logging.WARNING if terminal else logging.INFO
    shown = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
