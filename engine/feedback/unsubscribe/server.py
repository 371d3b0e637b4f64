"""The HTTP server that answers unsubscribe links."""

import asyncio
import signal
from collections.abc import Callable

from aiohttp import web

from engine.campaign.unsubscribe_tokens import TokenSigner
from engine.feedback.unsubscribe.opt_out import LedgerOptOuts
from engine.feedback.unsubscribe.pages import UnsubscribePages, open_pages
from engine.feedback.unsubscribe.requests import (
    HEADERS,
    MOST_BODY_BYTES,
    RETRY_SECONDS,
    LinkAnswer,
    LinkMeaning,
    LinkRequest,
    OptOuts,
    answer_bug,
    answer_later,
    answer_request,
    log_answer,
)
from engine.http.connections import ConnectionBounds, stop_serving
from engine.http.guard import RequestGuard, make_server
from engine.http.listening import listen
from engine.workspace import Workspace

BODY_SECONDS = 10.0  # for a body of a few bytes
DRAIN_SECONDS = 10.0  # how long requests may take to end once the server stops
MOST_AT_ONCE = 64  # requests that wait for the ledger; more are answered 503


def serve_links(
    workspace: Workspace, *, host: str, port: int, allow_hosts: tuple[str, ...] = (), announce: Callable[[str], None]
) -> None:
    """Answer unsubscribe links until SIGINT or SIGTERM.

    Args:
        workspace: of the campaigns, for keys, ledger and settings.
        host: the address to listen on.
        port: 0 chooses a free one.
        allow_hosts: answer to these names alone, besides those of the settings; none for every name.
        announce: is called with the server's URL once it listens.

    Raises:
        ConfigurationError: it cannot listen there, has no keys, or its page cannot be rendered.
    """
    signer = TokenSigner(workspace.read_verifying_keys().all)
    server = LinkServer(signer, LedgerOptOuts(workspace), open_pages(workspace.settings))
    names = (*workspace.settings.unsubscribe_server.allow_hosts, *allow_hosts)
    # Its only authority is the token of each link, and webmail may post the click from a page of its own.
    guard = RequestGuard(host, allowed_hosts=names, is_public=True)
    asyncio.run(_serve(server, guard, host, port, announce))


async def _serve(
    server: "LinkServer", guard: RequestGuard, host: str, port: int, announce: Callable[[str], None]
) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    runner = web.ServerRunner(
        make_server(server.handle, guard, bounds=ConnectionBounds(retry_seconds=RETRY_SECONDS)),
        shutdown_timeout=DRAIN_SECONDS,
    )
    await runner.setup()
    try:
        announce(await listen(runner, host, port, server="the server", remedy="choose another --host or --port"))
        await stopped.wait()
    finally:
        await stop_serving(runner)


class LinkServer:
    """Answers HTTP requests; threads do the work on the ledger.

    Args:
        signer: verifies tokens, with every key that ever signed a link.
        opt_outs: records opt-outs.
        pages: what a person sees.
    """

    def __init__(self, signer: TokenSigner, opt_outs: OptOuts, pages: UnsubscribePages) -> None:
        self._signer = signer
        self._opt_outs = opt_outs
        self._pages = pages
        self._pending = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, and log what it was."""
        try:
            reply = await self._answer(request)
        except Exception as error:  # noqa: BLE001 - logged, and a person can ask again
            reply = answer_bug(error, self._pages)
        log_answer(request.method, reply)
        response = web.Response(status=reply.status, body=reply.body, headers=reply.headers)
        if reply.status in (408, 413):
            response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest) -> LinkAnswer:
        if request.raw_path == "/healthz":
            return LinkAnswer(200, LinkMeaning.PAGE, b"ok\n", {**HEADERS, "Content-Type": "text/plain"})
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _read_body(request)
        except TimeoutError:
            return LinkAnswer(408, LinkMeaning.LATER, b"")
        except ConnectionError:
            return LinkAnswer(400, LinkMeaning.NOT_ONE_CLICK, b"")
        if self._pending >= MOST_AT_ONCE:
            return answer_later(self._pages, problem="")
        self._pending += 1
        try:
            link = LinkRequest(
                method=request.method,
                target=request.raw_path,
                content_type=request.headers.get("Content-Type", ""),
                body=body,
                languages=request.headers.get("Accept-Language", ""),
            )
            return await asyncio.to_thread(answer_request, link, self._signer, self._opt_outs, self._pages)
        finally:
            self._pending -= 1


async def _read_body(request: web.BaseRequest) -> bytes:
    """Read a body, up to one byte more than is allowed."""
    body = b""
    while len(body) <= MOST_BODY_BYTES and (some := await request.content.readany()):
        body += some
    return body[: MOST_BODY_BYTES + 1]
