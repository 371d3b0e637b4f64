"""The server of the dashboard: it listens, and ends at a signal."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web
from msgspec import Struct

from engine.dashboard.access import Sessions, TokenCheck, check_reach
from engine.dashboard.application import DashboardApplication
from engine.dashboard.assets import Assets
from engine.dashboard.live import LiveRuns
from engine.dashboard.live_figures import read_live_figures
from engine.dashboard.templating import PageTemplates
from engine.dashboard.threads import ReadThreads
from engine.http.connections import ConnectionBounds, stop_serving
from engine.http.guard import RequestGuard, make_server
from engine.http.listening import listen
from engine.ledger.decisions import find_user
from engine.workspace import Workspace

_NO_PORT = "choose another address with --bind, such as 127.0.0.1:0 for a free port"
_DRAIN_SECONDS = 3.0  # how long requests may take to end once the server stops
_BOUNDS = ConnectionBounds(idle_seconds=30.0, old_seconds=3600.0, total_seconds=7200.0)  # live pages stay open


class Listening(Struct, frozen=True, kw_only=True):
    """Where the server listens, and who may use it.

    Attributes:
        host: name or address.
        port: 0 chooses a free one.
        token: that clients need; empty for none, on loopback.
        allow_hosts: further names that it answers to, such as a proxy's.
        trusts_proxy: whether X-Forwarded-Proto is a proxy's.
    """

    host: str
    port: int
    token: str = ""
    allow_hosts: tuple[str, ...] = ()
    trusts_proxy: bool = False


def serve_dashboard(workspace: Workspace, listening: Listening, announce: Callable[[str], None]) -> None:
    """Serve the dashboard until SIGINT or SIGTERM.

    Args:
        workspace: whose runs are shown.
        listening: where.
        announce: is called with the URL once the server listens.

    Raises:
        ConfigurationError: it cannot listen there, or others could reach it without a token.
    """
    check_reach(listening.host, listening.token, listening.allow_hosts)
    asyncio.run(_serve(workspace, listening, announce))


async def _serve(workspace: Workspace, listening: Listening, announce: Callable[[str], None]) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with run_dashboard(workspace, listening) as url:
        announce(url)
        await stopped.wait()


@asynccontextmanager
async def run_dashboard(workspace: Workspace, listening: Listening) -> AsyncIterator[str]:
    """Serve the dashboard while the context is open; yields its URL. Open live pages end with it.

    Raises:
        ConfigurationError: it cannot listen there.
    """
    threads = ReadThreads()
    application = make_application(workspace, listening, threads)
    guard = RequestGuard(listening.host, allowed_hosts=listening.allow_hosts)
    runner = web.ServerRunner(make_server(application.handle, guard, bounds=_BOUNDS), shutdown_timeout=_DRAIN_SECONDS)
    await runner.setup()
    try:
        yield await listen(runner, listening.host, listening.port, server="the dashboard", remedy=_NO_PORT)
    finally:
        application.live.close()
        await stop_serving(runner)
        threads.close()


def make_application(workspace: Workspace, listening: Listening, threads: ReadThreads) -> DashboardApplication:
    """Make the dashboard of a workspace."""
    assets = Assets()
    return DashboardApplication(
        workspace=workspace,
        who=find_user(),
        token=TokenCheck(listening.token, time.monotonic),
        sessions=Sessions(time.monotonic),
        assets=assets,
        templates=PageTemplates(assets),
        threads=threads,
        live=LiveRuns(partial(read_live_figures, workspace), threads, workspace.clock),
        cookie=f"mailrun_dashboard_{listening.port}",
        trusts_proxy=listening.trusts_proxy,
    )
