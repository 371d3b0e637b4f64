"""Answers the requests of the dashboard: login, pages, actions, and what every answer has."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import parse_qsl, quote

from aiohttp import web
from msgspec import Struct

from engine.dashboard.access import BrowserSession, Sessions, TokenCheck
from engine.dashboard.answers import HTML, PAGE_POLICY, DocumentPage, OtherPage, PageAnswer, PageQuery, TemplatePage
from engine.dashboard.assets import Assets
from engine.dashboard.live import LiveRuns
from engine.dashboard.problems import describe_problem, make_problem
from engine.dashboard.routes import PageRoute, find_routes
from engine.dashboard.templating import PageTemplates
from engine.dashboard.threads import ReadThreads
from engine.report.run_accounts import require_run
from engine.workspace import Workspace

MOST_FORM_BYTES = 8192
_MOST_FIELDS = 20
_FORM_SECONDS = 10.0
_FORM_KIND = "application/x-www-form-urlencoded"
_READING = ("GET", "HEAD")
_STREAM = "text/event-stream"
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send the forms of a page with `Origin: null`
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class DashboardApplication(Struct, frozen=True, kw_only=True):
    """The dashboard without its server.

    Attributes:
        workspace: whose runs are shown.
        who: the user of this process, for decisions.
        token: is checked at login.
        sessions: of browsers.
        assets: style sheets and scripts.
        templates: of pages.
        threads: for blocking reads.
        live: runs that are watched.
        cookie: name of the session's cookie; other servers of this host have cookies, too.
        trusts_proxy: whether X-Forwarded-Proto is a proxy's, so that cookies are for HTTPS alone.
    """

    workspace: Workspace
    who: str
    token: TokenCheck
    sessions: Sessions
    assets: Assets
    templates: PageTemplates
    threads: ReadThreads
    live: LiveRuns
    cookie: str
    trusts_proxy: bool = False

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        try:
            return await self._answer(request)
        except web.HTTPException:
            raise
        except Exception as error:  # noqa: BLE001 - logged, and a person reads what to do
            problem = make_problem(error)
            return self._respond(request, problem, session=None)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        if request.method in _READING:
            if path == "/healthz":
                return web.Response(text="ok\n", headers={**HEADERS, "Content-Security-Policy": PAGE_POLICY})
            if (asset := self.assets.find(path)) is not None:
                kept = {**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
                kept["Content-Security-Policy"] = PAGE_POLICY
                return web.Response(body=asset.body, content_type=asset.kind, charset="utf-8", headers=kept)
        session, has_token = self._authenticate(request)
        if path == "/login":
            return await self._log_in(request)
        if self.token.is_needed and session is None and not has_token:
            return self._refuse_stranger(request)
        if path == "/logout":
            return await self._log_out(request, session)
        return await self._open(request, path, session, has_token=has_token)

    async def _open(
        self, request: web.BaseRequest, path: str, session: BrowserSession | None, *, has_token: bool
    ) -> web.StreamResponse:
        found = find_routes(path)
        routes = [(route, names) for route, names in found if _allows(route, request.method)]
        if not routes:
            allowed = {"GET, HEAD" if route.method == "GET" else "POST" for route, _ in found}
            return self._respond(request, describe_problem(405 if found else 404), session, allow=", ".join(allowed))
        route, names = routes[0]
        form: Mapping[str, str] = {}
        if route.method == "POST":
            form = await _read_form(request)
            is_ours = session is not None and session.is_form_of(form.get("form_token", ""))
            if not (is_ours or has_token):
                return self._respond(request, describe_problem(403), session)
        if route.is_live and request.method == "HEAD":  # an answer to HEAD has no body, and a stream is nothing else
            return web.Response(content_type=_STREAM, charset="utf-8", headers=HEADERS)
        asked = PageQuery(
            names=_clean(names), query=_clean(request.query), form=_clean(form), who=f"dashboard ({self.who})"
        )
        if route.is_live:
            await self.threads.run(lambda: require_run(self.workspace.ledger, asked.run))
            return await self.live.stream(request, asked.run, {**HEADERS, "Content-Security-Policy": PAGE_POLICY})
        began = None
        if session is None and not has_token:
            session = began = self.sessions.begin()
        return await self.threads.run(lambda: self._make_response(request, route, asked, session, began))

    def _make_response(
        self,
        request: web.BaseRequest,
        route: PageRoute,
        asked: PageQuery,
        session: BrowserSession | None,
        began: BrowserSession | None,
    ) -> web.Response:
        """Make the answer of a page; called in a thread."""
        try:
            answer = route.read(self.workspace, asked)
        except Exception as error:  # noqa: BLE001 - logged, and a person reads what to do
            answer = make_problem(error)
        response = self._respond(request, answer, session, section=route.section)
        if began is not None:
            self._set_cookie(request, response, began)
        return response

    def _respond(
        self,
        request: web.BaseRequest,
        answer: PageAnswer,
        session: BrowserSession | None,
        *,
        section: str = "",
        allow: str = "",
    ) -> web.Response:
        headers = {**HEADERS, **({"Allow": allow} if allow else {})}
        match answer:
            case OtherPage(path):
                return web.Response(status=303, headers={**headers, "Location": path})
            case DocumentPage():
                headers |= {"Content-Security-Policy": answer.policy, "X-Frame-Options": answer.frames}
                return web.Response(body=answer.body, content_type=answer.kind, charset="utf-8", headers=headers)
        headers["Content-Security-Policy"] = answer.policy
        text = self.templates.render(
            answer,
            section=section,
            form_token=session.form_token if session else "",
            can_log_out=self.token.is_needed and session is not None,
        )
        response = web.Response(text=text, content_type=HTML, status=answer.status, headers=headers)
        if request.method == "POST" and answer.status >= HTTPStatus.BAD_REQUEST:
            response.force_close()  # its body may not have been read
        return response

    def _authenticate(self, request: web.BaseRequest) -> tuple[BrowserSession | None, bool]:
        """Return the session of a request, and whether it has the token itself, as scripts do."""
        session = self.sessions.find(request.cookies.get(self.cookie, ""))
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        client = request.remote or ""
        if not self.token.is_needed or scheme.lower() != "bearer" or self.token.find_wait(client):
            return session, False
        return session, self.token.is_right(client, given.strip())

    def _refuse_stranger(self, request: web.BaseRequest) -> web.Response:
        """Lead a browser to the login; refuse anything else."""
        is_browser = request.method in _READING and HTML in request.headers.get("Accept", "")
        if is_browser and "Authorization" not in request.headers:
            return self._respond(request, OtherPage(f"/login?next={quote(request.raw_path, safe='')}"), None)
        response = self._respond(request, describe_problem(401), None)
        response.headers["WWW-Authenticate"] = 'Bearer realm="mailrun"'
        return response

    async def _log_in(self, request: web.BaseRequest) -> web.Response:
        if not self.token.is_needed:
            return self._respond(request, OtherPage("/"), None)
        if request.method in _READING:
            return self._respond(request, _make_login(own_path(request.query.get("next", ""))), None)
        if request.method != "POST":
            return self._respond(request, describe_problem(405), None, allow="GET, HEAD, POST")
        form, client = await _read_form(request), request.remote or ""
        following = own_path(form.get("next", ""))
        if wait := self.token.find_wait(client):
            problem = f"Too many wrong tokens. Try again in {wait:.0f} seconds."
            response = self._respond(request, _make_login(following, problem, status=429), None)
            response.headers["Retry-After"] = f"{wait:.0f}"
            return response
        if not self.token.is_right(client, form.get("token", "")):
            return self._respond(request, _make_login(following, "This is not the token.", status=403), None)
        response = self._respond(request, OtherPage(following), None)
        self._set_cookie(request, response, self.sessions.begin())
        return response

    async def _log_out(self, request: web.BaseRequest, session: BrowserSession | None) -> web.Response:
        if request.method != "POST":
            return self._respond(request, describe_problem(405), session, allow="POST")
        form = await _read_form(request)
        if session is None or not session.is_form_of(form.get("form_token", "")):
            return self._respond(request, describe_problem(403), session)
        self.sessions.end(session.id)
        response = self._respond(request, OtherPage("/login"), None)
        response.del_cookie(self.cookie, path="/")
        return response

    def _set_cookie(self, request: web.BaseRequest, response: web.Response, session: BrowserSession) -> None:
        is_https = self.trusts_proxy and request.headers.get("X-Forwarded-Proto", "").lower() == "https"
        response.set_cookie(self.cookie, session.id, path="/", httponly=True, samesite="Strict", secure=is_https)


def _clean(texts: Mapping[str, str]) -> dict[str, str]:
    """Replace NUL, which PostgreSQL refuses in a text."""
    return {name: text.replace("\0", "\ufffd") for name, text in texts.items()}


def _allows(route: PageRoute, method: str) -> bool:
    return method in _READING if route.method == "GET" else method == route.method


def _make_login(following: str, problem: str = "", *, status: int = 200) -> TemplatePage:
    values = {"next": following, "problem": problem}
    return TemplatePage(template="login.html", title="Log in", values=values, status=status)


def own_path(path: str) -> str:
    """Return a path of this server; the first page for anything that may lead elsewhere.

    >>> [own_path(path) for path in ("/runs/a/b?x=1", "//evil.example", "https://evil.example")]
    ['/runs/a/b?x=1', '/', '/']
    """
    is_own = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_own else "/"


async def _read_form(request: web.BaseRequest) -> Mapping[str, str]:
    """Read the fields of a form; none where it is too large, too slow or of another kind."""
    body = b""
    if request.content_type != _FORM_KIND:
        return {}
    with suppress(TimeoutError, ConnectionError, ValueError):
        async with asyncio.timeout(_FORM_SECONDS):
            while len(body) <= MOST_FORM_BYTES and (some := await request.content.readany()):
                body += some
        if len(body) <= MOST_FORM_BYTES:
            return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    return {}
