"""The web inbox: what the sandbox has accepted, to look at."""

import asyncio
from collections.abc import Callable
from email.utils import parseaddr
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from engine.sandbox.record_index import RecordIndex

PAGE_SIZE = 50
_TEMPLATES = Path(__file__).parent / "templates"
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_MAIL_POLICY = (
    "sandbox; default-src 'none'; img-src data: https:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)
_FATES = {
    "delivered": "Delivered",
    "bounced": "Bounced",
    "complained": "Complaint",
    "out_of_office": "Out of office",
    "suppressed": "Suppressed",
    "rendering_failure": "Not rendered",
}


class Inbox:
    """The pages over a record, also over what earlier processes wrote to it.

    Args:
        folder: the record's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._index = RecordIndex(folder)
        self._lock = asyncio.Lock()
        self._pages = Environment(
            loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._pages.filters["person"] = _person

    async def answer(self, request: web.BaseRequest) -> web.Response | None:
        """Return a page, None where the path is none of the inbox's."""
        if request.method not in {"GET", "HEAD"}:
            return None
        page = self._page_for(request)
        if page is None:
            return None
        async with self._lock:
            return await asyncio.to_thread(page)

    def _page_for(self, request: web.BaseRequest) -> Callable[[], web.Response] | None:
        query = request.query
        match request.path.strip("/").split("/"):
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
        return None

    def _list(self, words: str, before: str) -> web.Response:
        total = self._index.refresh()
        start = min(int(before), total) if before.isdecimal() else total
        found = self._index.newest(before=start, limit=PAGE_SIZE, words=words.strip())
        return self._render(
            "inbox.html",
            messages=found.messages,
            more_before=found.more_before,
            total=total,
            newest_page=start == total,
            words=words,
        )

    def _message(self, line: int, show: Callable[[int, dict[str, Any]], web.Response]) -> web.Response:
        total = self._index.refresh()
        message = self._index.read(line)
        if message is None:
            return self._render("missing.html", status=404, line=line, total=total)
        return show(line, message)

    def _show(self, line: int, message: dict[str, Any]) -> web.Response:
        total = self._index.refresh()
        return self._render("message.html", line=line, message=message, total=total)

    def _render(self, template: str, *, status: int = 200, **values: Any) -> web.Response:
        return _respond(self._pages.get_template(template).render(fates=_FATES, **values), status=status)


def _html_of(_: int, message: dict[str, Any]) -> web.Response:
    """Return the HTML part alone, under a policy that lets it do nothing but be looked at."""
    return _respond(message["html"] or "", policy=_MAIL_POLICY)


def _source_of(_: int, message: dict[str, Any]) -> web.Response:
    """Return the record of the message."""
    return _respond(orjson.dumps(message, option=orjson.OPT_INDENT_2).decode(), kind="text/plain")


def _person(mailbox: str) -> str:
    """Return the display name of a mailbox, decoded from its headers' form; the mailbox itself where it has none."""
    return parseaddr(mailbox)[0] or mailbox


def _respond(text: str, *, kind: str = "text/html", status: int = 200, policy: str = _PAGE_POLICY) -> web.Response:
    headers = {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return web.Response(text=text, content_type=kind, charset="utf-8", status=status, headers=headers)
