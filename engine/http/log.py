"""The logger of mailrun's HTTP servers: errors, without anything that a client sent."""

import logging

from aiohttp.http_exceptions import HttpProcessingError

_LOGGER = logging.getLogger("mailrun.http")


def make_server_logger() -> logging.Logger:
    """Return the logger for aiohttp's `Server`.

    aiohttp logs a request that it cannot parse as an error, with the offending line: a path with an unsubscribe token,
    or a header with credentials. Anyone can send one, so it is not an error, and only its kind is logged.
    """
    _LOGGER.addFilter(_leave_out_request)  # adding it twice has no effect
    return _LOGGER


def _leave_out_request(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.msg, record.args = "a request was refused: %s", (type(error).__name__,)
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.INFO, "INFO"
    return True
