"""What the unsubscribe server and its Lambda handler put together: keys, ledger, and the answers to requests."""

import asyncio
import atexit
import errno
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path

import polars as pl
import structlog
from aiohttp import web

from engine.addresses.parse import judge_addresses
from engine.campaign.unsubscribe import TokenSigner
from engine.cli.options import Common
from engine.cli.printing import print_json, print_lines
from engine.cli.requests import open_chosen
from engine.errors import ConfigurationError, MailrunError, PausedError
from engine.feedback.unsubscribe.pages import Theme, UnsubscribePages
from engine.feedback.unsubscribe.requests import (
    HEADERS,
    MOST_BODY_BYTES,
    RETRY_SECONDS,
    Answer,
    Meaning,
    OptOuts,
    Request,
    answer,
    answer_later,
    read_event,
    write_response,
)
from engine.http.connections import ConnectionBounds
from engine.http.guard import RequestGuard, make_server
from engine.ledger.forgotten import make_find_forgotten
from engine.ledger.suppressions import (
    Reason,
    Suppression,
    add_suppressions,
    find_suppressions,
    remove_some_suppressions,
)
from engine.logs import configure_logs
from engine.settings import Settings
from engine.system.temporary import make_temporary_folder
from engine.workspace import UnsubscribeKeys, Workspace, open_workspace, read_settings

SOURCE = "unsubscribe link"
BODY_SECONDS = 10.0  # a client that takes longer for a few bytes is none
DRAIN_SECONDS = 10.0  # how long requests may take to end once the server stops
UNDO_WITHIN = timedelta(hours=1)  # a page that was left open longer takes nothing back
MOST_AT_ONCE = 64  # requests that wait for the ledger; more are asked to come again

_BUG = "a request could not be answered: this is a bug in mailrun; report it with the traceback"

log = structlog.get_logger()


class LedgerOptOuts:
    """Writes opt-outs to the ledger's suppression list, durably.

    Args:
        place: ledger, store and clock.
    """

    def __init__(self, place: Workspace) -> None:
        self._place = place

    def opt_out(self, address: str, topic: str) -> None:
        """Suppress the person of a valid token for its topic."""
        place, key = self._place, _find_key(address)
        if key is None or is_forgotten(place, key):
            return  # suppressed already, and no trace of the address is kept
        entry = Suppression(key, topic, Reason.UNSUBSCRIBE, SOURCE, place.clock.now(), None, address)
        with place.ledger.write() as tx:
            add_suppressions(tx, [entry])

    def undo(self, address: str, topic: str) -> bool:
        """Remove an opt-out that this link made within the last hour; True as well where it is removed already."""
        place, key = self._place, _find_key(address)
        if key is None or is_forgotten(place, key):
            return False
        since = place.clock.now() - UNDO_WITHIN
        with place.ledger.write() as tx:
            entries = find_suppressions(tx, [key], to_change=True)
            mine = [one for one in entries if one.topic == topic]
            if any(one.reason != Reason.UNSUBSCRIBE or one.source != SOURCE or one.at < since for one in mine):
                return False
            remove_some_suppressions(tx, mine)
        return True


def _find_key(address: str) -> str | None:
    key: str | None = judge_addresses(pl.Series([address], dtype=pl.String))["key"].item(0)
    return key


def open_pages(place: Workspace) -> UnsubscribePages:
    """Read `[unsubscribe_page]`.

    Raises:
        ConfigurationError: its template cannot be read or rendered.
    """
    page = place.settings.unsubscribe_page
    return UnsubscribePages(
        Theme(
            sender=page.sender,
            topics=page.topics,
            preferences_url=page.preferences_url,
            template=place.settings.workspace / page.template if page.template else None,
        )
    )


def is_forgotten(place: Workspace, key: str) -> bool:
    """Say whether `mailrun forget` has erased an address."""
    find = make_find_forgotten(place.ledger, place.store)
    return find is not None and find(pl.Series("key", [key], pl.String)).height > 0


def serve(common: Common, *, host: str, port: int, allow_hosts: tuple[str, ...] = ()) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: it cannot listen there, or has no keys.
    """
    with open_chosen(common) as place:
        keys = place.read_verifying_keys()
        server = _Server(TokenSigner(keys.all), LedgerOptOuts(place), open_pages(place))
        names = (*place.settings.unsubscribe_server.allow_hosts, *allow_hosts)
        # Its only authority is the token of each link, and webmail may post the click from a page of its own.
        guard = RequestGuard(host, allowed_hosts=names, is_public=True)
        asyncio.run(_serve(server, guard, (host, port), keys, as_json=common.json))


async def _serve(
    server: "_Server", guard: RequestGuard, where: tuple[str, int], keys: UnsubscribeKeys, *, as_json: bool
) -> None:
    host, port = where
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    runner = web.ServerRunner(
        make_server(server.handle, guard, bounds=ConnectionBounds(retry_seconds=RETRY_SECONDS)),
        shutdown_timeout=DRAIN_SECONDS,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as problem:
            in_use = problem.errno == errno.EADDRINUSE
            raise ConfigurationError(
                f"the server cannot listen: {'the port is in use' if in_use else problem.strerror or problem}",
                where=f"{host}:{port}",
                remedy="take another --host or --port",
            ) from problem
        bound = runner.addresses[0][1]
        url = f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}"
        if as_json:
            print_json({"url": url, "unsubscribe_keys": keys.to_json()})
        else:
            print_lines(f"listening: {url}", f"unsubscribe keys: {keys.describe()}", "Ctrl-C stops it")
        sys.stdout.flush()  # whoever started it reads the address now
        await stopped.wait()
    finally:
        await runner.cleanup()


def _log_answer(method: str, reply: Answer) -> None:
    known = method if method in ("GET", "HEAD", "POST") else "other"
    log.info("unsubscribe.request", method=known, status=reply.status, meaning=str(reply.meaning))
    if reply.problem:
        log.warning("unsubscribe.refused", what=reply.problem, note=f"answered 503, to come again: {reply.problem}")


class _Server:
    """Answers HTTP requests; the ledger's work is done by threads."""

    def __init__(self, signer: TokenSigner, opt_outs: OptOuts, pages: UnsubscribePages) -> None:
        self._signer = signer
        self._opt_outs = opt_outs
        self._pages = pages
        self._under_way = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, and log what it was: never its path, which holds the token."""
        try:
            reply = await self._answer(request)
        except Exception as error:  # a person asks for something, and can ask again
            log.exception("unsubscribe.failed", kind=type(error).__name__, note=_BUG)
            reply = answer_later(self._pages, problem="")
        _log_answer(request.method, reply)
        response = web.Response(status=reply.status, body=reply.body, headers=reply.headers)
        if reply.status in (408, 413):
            response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest) -> Answer:
        if request.raw_path == "/healthz":
            return Answer(200, Meaning.PAGE, b"ok\n", {**HEADERS, "Content-Type": "text/plain"})
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _read_body(request)
        except TimeoutError:
            return Answer(408, Meaning.LATER, b"")
        except ConnectionError:
            return Answer(400, Meaning.NOT_ONE_CLICK, b"")
        if self._under_way >= MOST_AT_ONCE:
            return answer_later(self._pages, problem="")
        self._under_way += 1
        try:
            given = request.headers
            asked = Request(
                method=request.method,
                target=request.raw_path,
                content_type=given.get("Content-Type", ""),
                body=body,
                languages=given.get("Accept-Language", ""),
            )
            return await asyncio.to_thread(answer, asked, self._signer, self._opt_outs, self._pages)
        finally:
            self._under_way -= 1


async def _read_body(request: web.BaseRequest) -> bytes:
    """Read a body, up to one byte more than is allowed."""
    body = b""
    while len(body) <= MOST_BODY_BYTES and (some := await request.content.readany()):
        body += some
    return body[: MOST_BODY_BYTES + 1]


_stack = ExitStack()  # what a function's process keeps until it ends
atexit.register(_stack.close)
LambdaHandler = Callable[[Mapping[str, object], object], dict[str, object]]


def _refuse_passing_ledger(settings: Settings) -> None:
    """Check that opt-outs are not written to a file that ends with the function.

    Raises:
        ConfigurationError: they would be.
    """
    if settings.ledger_file is not None and settings.ledger_file.is_relative_to(settings.workspace):
        raise ConfigurationError(
            "opt-outs would be lost: the ledger would be a file that ends with the function",
            where="MAILRUN_LEDGER",
            remedy="set MAILRUN_LEDGER to the ledger of the campaigns, such as postgresql://user@host/database",
        )


def make_lambda_handler(workspace: Path | None = None) -> LambdaHandler:
    """Return a handler for an AWS Lambda function behind a function URL or an API Gateway HTTP API.

    The ledger is opened once, for the life of the function's process; settings come from the environment:
    MAILRUN_LEDGER (PostgreSQL: a file of a Lambda function lives as long as it does), MAILRUN_STORE,
    MAILRUN_UNSUBSCRIBE_KEYS.

    Args:
        workspace: where a mailrun.toml may be. Where neither this nor MAILRUN_WORKSPACE names one, no mailrun.toml is
            read: the workspace is a new private folder among the temporary ones, because a function's own folder
            cannot be written.

    A ledger that is away when the function starts is opened by a later request; until then it answers 503.

    Raises:
        ConfigurationError: no keys, or a ledger or store that cannot be used.
    """
    logging.getLogger().handlers.clear()  # the runtime's own, which would print what libraries log unmasked
    configure_logs(verbose=False)
    named = workspace or os.environ.get("MAILRUN_WORKSPACE")
    # Never a folder with a known name in /tmp: another user could put a mailrun.toml there before.
    folder = Path(named) if named else _stack.enter_context(make_temporary_folder())
    if not named:
        _refuse_passing_ledger(read_settings(folder))
    desk = _LambdaDesk(folder)
    with suppress(PausedError):
        desk.open()

    def handler(event: Mapping[str, object], _: object) -> dict[str, object]:
        request = read_event(event)
        try:
            reply = desk.answer(request)
        except Exception as error:  # the runtime would print it, and answer 502
            log.exception("unsubscribe.failed", kind=type(error).__name__, note=_BUG)
            reply = answer_later(UnsubscribePages(), problem="", languages=request.languages)
        _log_answer(request.method, reply)
        return write_response(reply)

    return handler


class _LambdaDesk:
    """What a function keeps between two requests: opened once, and never closed, for the process ends without a word.

    Args:
        folder: the workspace's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: tuple[TokenSigner, LedgerOptOuts, UnsubscribePages] | None = None

    def open(self) -> tuple[TokenSigner, LedgerOptOuts, UnsubscribePages]:
        """Open store and ledger, once; raises as `open_workspace`."""
        if self._opened is None:
            place = open_workspace(self._folder)
            self._opened = TokenSigner(place.read_verifying_keys().all), LedgerOptOuts(place), open_pages(place)
        return self._opened

    def answer(self, request: Request) -> Answer:
        """Answer a request; one that comes while the ledger cannot be opened is asked to come again."""
        try:
            opened = self.open()
        except MailrunError as error:
            return answer_later(UnsubscribePages(), problem=str(error), languages=request.languages)
        return answer(request, *opened)
