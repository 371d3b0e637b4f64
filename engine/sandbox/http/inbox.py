"""The web inbox: pages that show what the sandbox has accepted."""

import asyncio
from collections.abc import Callable, Mapping
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Self

import orjson
from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from msgspec import Struct

from engine.sandbox.events.event_plan import SandboxEvent, tell_time
from engine.sandbox.events.event_records import write_time
from engine.sandbox.events.fates import FATES, describe_event, name_fate
from engine.sandbox.events.tracking import remove_own_attributes
from engine.sandbox.http.record_index import RecordIndex

PAGE_SIZE = 50
_MOST_DIGITS = 18  # of a message's number; Python reads no number of more than 4,300
_TEMPLATES = Path(__file__).parent / "templates"
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_MAIL_POLICY = (
    "sandbox; default-src 'none'; img-src data: https:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)
PAGE_METHODS = frozenset({"GET", "HEAD"})
PRIVATE = {"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
ListEvents = Callable[[Mapping[str, Any], int], list[SandboxEvent]]  # of a message and its offset in the record


class Inbox:
    """The pages over a record, also over what earlier processes wrote to it.

    Args:
        folder: the record's folder.
        list_events: returns the events of a message.
        root: the path that all pages are under, without a slash at its end.
    """

    def __init__(self, folder: Path, list_events: ListEvents, *, root: str) -> None:
        self._list_events = list_events
        self._root = root
        self._index = RecordIndex(folder)
        self._lock = asyncio.Lock()
        self._pages = Environment(
            loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._pages.filters["person"] = _person
        self._pages.globals["root"] = root

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Return the page of a request for a path under the root."""
        page = self._page_for(request)
        async with self._lock:
            return await asyncio.to_thread(page)

    def _page_for(self, request: web.BaseRequest) -> Callable[[], web.Response]:
        query, path = request.query, request.path.removeprefix(self._root)
        match path.strip("/").split("/"):
            case ["messages", line, *_] if len(line) > _MOST_DIGITS:
                pass
            case [""]:
                return lambda: self._list(query.get("q", ""), query.get("before", ""))
            case ["inbox.css"]:
                return lambda: _respond((_TEMPLATES / "inbox.css").read_text(), kind="text/css")
            case ["messages", line] if line.isdecimal():
                return lambda: self._message(int(line), self._show)
            case ["messages", line, "html"] if line.isdecimal():
                return lambda: self._message(int(line), _html_of)
            case ["messages", line, "source"] if line.isdecimal():
                return lambda: self._message(int(line), _source_of)
        return lambda: self._render("missing.html", status=404, line=None, path=path, total=0)

    def _list(self, words: str, before: str) -> web.Response:
        total = self._index.refresh()
        start = min(int(before), total) if before.isdecimal() and len(before) <= _MOST_DIGITS else total
        found = self._index.newest(before=start, limit=PAGE_SIZE, words=words.strip())
        return self._render(
            "inbox.html",
            messages=[(line, message, name_fate(self._events_of(line, message))) for line, message in found.messages],
            more_before=found.more_before,
            total=total,
            newest_page=start == total,
            words=words,
        )

    def _message(self, line: int, show: Callable[[int, dict[str, Any]], web.Response]) -> web.Response:
        total = self._index.refresh()
        message = self._index.read(line)
        if message is None:
            return self._render("missing.html", status=404, line=line, path="", total=total)
        return show(line, message)

    def _show(self, line: int, message: dict[str, Any]) -> web.Response:
        total = self._index.refresh()
        events = self._events_of(line, message)
        return self._render(
            "message.html",
            line=line,
            message=message,
            total=total,
            fate=name_fate(events),
            events=[_EventRow.of(event, message) for event in events],
        )

    def _events_of(self, line: int, message: Mapping[str, Any]) -> list[SandboxEvent]:
        return self._list_events(message, self._index.offset(line))

    def _render(self, template: str, *, status: int = 200, **values: Any) -> web.Response:
        return _respond(self._pages.get_template(template).render(fates=FATES, **values), status=status)


class _EventRow(Struct, frozen=True):
    """An event as a message's page shows it."""

    kind: str
    at: str
    recipients: list[str]
    detail: str

    @classmethod
    def of(cls, event: SandboxEvent, message: Mapping[str, Any]) -> Self:
        at = write_time(tell_time(message, event))
        return cls(event.kind, at, event.recipients, describe_event(event))


def _html_of(_: int, message: dict[str, Any]) -> web.Response:
    """Return the HTML part alone, as delivered, under a policy that allows it to be displayed and nothing else."""
    html = message["html"] or ""
    is_tracked = message["configuration_set"] and (message.get("tracking") or {}).get("click", True)
    return _respond(remove_own_attributes(html) if is_tracked else html, policy=_MAIL_POLICY)


def _source_of(_: int, message: dict[str, Any]) -> web.Response:
    """Return the record of the message."""
    return _respond(orjson.dumps(message, option=orjson.OPT_INDENT_2).decode(), kind="text/plain")


def _person(mailbox: str) -> str:
    """Return the display name of a mailbox, decoded from its headers' form; the mailbox itself where it has none."""
    return parseaddr(mailbox)[0] or mailbox


def _respond(text: str, *, kind: str = "text/html", status: int = 200, policy: str = _PAGE_POLICY) -> web.Response:
    headers = {"Content-Security-Policy": policy, **PRIVATE}
    return web.Response(text=text, content_type=kind, charset="utf-8", status=status, headers=headers)
