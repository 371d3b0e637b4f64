"""Live pages and the ledger: one reader serves all viewers, and an outage is shown and ends."""

import asyncio
import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.dashboard import PageReply, ask, open_dashboard
from support.postgres import Cluster
from support.sent_runs import add_run, open_new_workspace

from engine.dashboard import live, server
from engine.dashboard.live_figures import LiveFigures, read_live_figures
from engine.errors import UnreachableError
from engine.workspace import Workspace, open_workspace

RUN = "welcome/2026-11-24"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_new_workspace(tmp_path / "w") as opened:
        add_run(opened, RUN, settled=False)
        yield opened


@contextmanager
def watch(url: str) -> Iterator[http.client.HTTPResponse]:
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        connection.request("GET", f"/runs/{RUN}/live")
        with closing(connection.getresponse()) as stream:  # holds the socket: the answer ends with the connection
            yield stream


def read_events(stream: http.client.HTTPResponse, count: int) -> list[str]:
    """Read the kinds of the next events."""
    kinds: list[str] = []
    while len(kinds) < count:
        line = stream.readline()
        assert line, kinds
        if line.startswith(b"event: "):
            kinds.append(line.decode().removeprefix("event: ").strip())
    return kinds


def test_all_viewers_of_a_run_share_one_reader(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    def read(opened: Workspace, name: str) -> LiveFigures:
        reads.append(threading.current_thread().name)
        return read_live_figures(opened, name)

    monkeypatch.setattr(server, "read_live_figures", read)
    monkeypatch.setattr(live, "READ_SECONDS", 0.05)
    with open_dashboard(workspace) as url, ExitStack() as stack:
        streams = [stack.enter_context(watch(url)) for _ in range(10)]
        for stream in streams:
            assert read_events(stream, 4) == ["history", "figures", "figures", "figures"]
        assert len(reads) < 30  # ten readers would have read at least 30 times
        assert all(name.startswith("dashboard-") for name in reads)


def test_a_reader_ends_with_its_last_viewer(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    monkeypatch.setattr(live, "READ_SECONDS", 0.01)

    def read(opened: Workspace, name: str) -> LiveFigures:
        reads.append(1)
        return read_live_figures(opened, name)

    monkeypatch.setattr(server, "read_live_figures", read)
    with open_dashboard(workspace) as url:
        with watch(url) as stream:
            read_events(stream, 5)
        with watch(url) as stream:
            assert read_events(stream, 1) == ["history"]
        known = -1
        for _ in range(100):
            if len(reads) == known:
                return
            known = len(reads)
            threading.Event().wait(0.5)  # fifty times as long as the reader waits
        pytest.fail("the run is still read, and nobody watches it")


def test_viewers_see_an_outage_of_the_ledger_and_its_end(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    outages = iter([False, True, True, False, False])

    def read(opened: Workspace, name: str) -> LiveFigures:
        if next(outages, False):
            raise UnreachableError("the ledger does not answer", where="db", remedy="wait")
        return read_live_figures(opened, name)

    monkeypatch.setattr(server, "read_live_figures", read)
    monkeypatch.setattr(live, "READ_SECONDS", 0.05)
    with open_dashboard(workspace) as url, watch(url) as stream:
        assert read_events(stream, 5) == ["history", "figures", "problem", "problem", "figures"]


def test_a_run_that_does_not_exist_has_no_live_page(workspace: Workspace) -> None:
    with open_dashboard(workspace) as url:
        assert ask(url, "/runs/no/run/live").status == 404


def test_more_viewers_than_the_bound_are_refused(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_VIEWERS", 2)
    with open_dashboard(workspace) as url, watch(url) as first, watch(url) as second:
        read_events(first, 1)
        read_events(second, 1)
        assert ask(url, f"/runs/{RUN}/live").status == 503


class Forwarder:
    """Forwards connections to a server, until it is cut."""

    def __init__(self, port: int, target: int) -> None:
        self.port, self._target = port, target
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._server: Any = None

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def open(self) -> None:
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True))

    def cut(self) -> None:
        async def close() -> None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()

        self._call(close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers |= {writer, back}
            await asyncio.gather(self._copy(reader, back), self._copy(there, writer))

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
        target.close()


def test_an_unreachable_ledger_gives_503_and_recovers(tmp_path: Path, postgres: Cluster) -> None:
    """Every page says so, within the time of a page, and works again when the server does."""
    direct = postgres.make_ledger()
    target = urlsplit(direct)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    forwarder = Forwarder(port, target.port or 5432)
    forwarder.open()
    (tmp_path / "w" / "campaigns").mkdir(parents=True)
    url_of_ledger = direct.replace(f":{target.port}", f":{port}")
    with open_workspace(tmp_path / "w", ledger=url_of_ledger) as workspace:
        add_run(workspace, RUN)
        with open_dashboard(workspace) as url:
            assert ask(url, f"/runs/{RUN}").status == 200
            forwarder.cut()
            for path in ("/", f"/runs/{RUN}", f"/runs/{RUN}/errors", f"/runs/{RUN}/live", f"/runs/{RUN}/pause"):
                reply: PageReply = ask(url, path)
                assert reply.status == 503, path
                assert "does not answer" in reply.text
            assert ask(url, "/healthz").status == 200
            forwarder.open()
            for path in ("/", f"/runs/{RUN}"):
                assert ask(url, path).status == 200, path
