"""The pages for what went wrong."""

from http import HTTPStatus

from engine.dashboard.answers import TemplatePage
from engine.dashboard.threads import BusyError
from engine.errors import DataError, MailrunError, PausedError, UsageError
from engine.logs import get_logger

_TEXTS = {
    401: (
        "Not logged in",
        "This request has neither a session nor the token.",
        "open /login in a browser; in a script, send the header Authorization: Bearer TOKEN",
    ),
    403: (
        "The form is not of this session",
        "Nothing was changed: the form was sent by another page, or the session ended.",
        "open the page again, and then press the button again",
    ),
    404: ("Not found", "The dashboard has no such page.", ""),
    405: ("Not possible", "This page does not answer this method.", ""),
    503: ("Busy", "Too many requests wait for an answer.", "try again in a few seconds"),
}


def describe_problem(status: int) -> TemplatePage:
    """Make the page for a status of HTTP."""
    heading, what, remedy = _TEXTS[status]
    return _make_page(heading, what, remedy=remedy, status=status)


def make_problem(error: Exception) -> TemplatePage:
    """Make the page for an error; an unknown one is logged as a bug."""
    match error:
        case BusyError():
            return describe_problem(503)
        case UsageError():
            return _make_page("Not found", error.what, remedy=error.remedy, status=404)
        case PausedError():
            heading = "The ledger or the store does not answer"
            return _make_page(heading, error.what, where=error.where, remedy=error.remedy, status=503)
        case MailrunError():
            heading = "The data is damaged" if isinstance(error, DataError) else "This page cannot be shown"
            return _make_page(heading, error.what, where=error.where, remedy=error.remedy, status=500)
    get_logger().error("dashboard.bug", exc_info=error)
    what = "A fault in mailrun kept this page from being shown. The server's log has the details."
    return _make_page(
        "A fault in mailrun", what, remedy="report it with the log", status=HTTPStatus.INTERNAL_SERVER_ERROR
    )


def _make_page(heading: str, what: str, *, remedy: str, status: int, where: str = "") -> TemplatePage:
    values = {"heading": heading, "what": what, "where": where, "remedy": remedy}
    return TemplatePage(template="problem.html", title=heading, values=values, status=status)
