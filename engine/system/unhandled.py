"""Exceptions that no code catches, in any thread: reported on stderr with addresses and secrets masked."""

import contextlib
import json
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType

from engine.masking import mask_text, remember_secrets_of_environment


def catch_unhandled() -> None:
    """Report exceptions that no code catches as one masked event; for mailrun's own processes only."""
    sys.excepthook = _report
    threading.excepthook = lambda found: _report(found.exc_type, found.exc_value, found.exc_traceback)
    sys.unraisablehook = lambda found: _report(found.exc_type, found.exc_value, found.exc_traceback)


def describe_exception(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> str:
    """Write the traceback of an exception, masked."""
    remember_secrets_of_environment()
    return mask_text("".join(traceback.format_exception(kind, error, trace))).rstrip()


def _report(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    text = describe_exception(kind, error, trace)
    if sys.stderr is None or issubclass(kind, SystemExit):  # closed while Python ends; a thread that ends normally
        return
    if not sys.stderr.isatty():
        at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        text = json.dumps({"event": "unhandled", "level": "critical", "at": at, "exception": text})
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - logs may not be set up yet
