"""A dashboard over a workspace with runs in every state, and the table of its pages."""

import asyncio
import http.client
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from engine.dashboard.server import Listening, run_dashboard
from engine.ledger import workers
from engine.ledger.figures.pace import PaceSample, add_sample
from engine.ledger.journal import Outcome, Result
from engine.report.figures.figures_file import refresh_figures
from engine.run import control
from engine.store.files import write_file
from engine.workspace import Workspace
from support.sent_runs import SENT_AT, add_events, add_run, make_event_of_row

FINISHED, SENDING, PAUSED = "welcome/2026-11-24", "news/2026-11-25", "offer/2026-11-26"
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
REFUSED_ADDRESS = "person3@x.example"
TOKEN = "a-token-of-the-dashboard-0123456789"

# Every page that a browser can open: its name, its path and what its heading has. Pages with their own data add theirs.
PAGES: tuple[tuple[str, str, str], ...] = (
    ("runs", "/", "Runs"),
    ("runs that match", "/?q=news&state=sending", "Runs"),
    ("no run matches", "/?q=nothing-has-this", "Runs"),
    ("a finished run", f"/runs/{FINISHED}", FINISHED),
    ("a run that sends", f"/runs/{SENDING}", SENDING),
    ("a paused run", f"/runs/{PAUSED}", PAUSED),
    ("errors", f"/runs/{FINISHED}/errors", FINISHED),
    ("errors of a run that sends", f"/runs/{SENDING}/errors", SENDING),
    ("no errors", f"/runs/{PAUSED}/errors", PAUSED),
    ("report", f"/runs/{FINISHED}/report", FINISHED),
    ("no report", f"/runs/{PAUSED}/report", PAUSED),
    ("preview", f"/runs/{FINISHED}/preview", FINISHED),
    ("no preview", f"/runs/{SENDING}/preview", SENDING),
    ("pause", f"/runs/{SENDING}/pause", SENDING),
    ("resume", f"/runs/{PAUSED}/resume", PAUSED),
    ("approve", f"/runs/{PAUSED}/approve", PAUSED),
    ("nothing to pause", f"/runs/{FINISHED}/pause", FINISHED),
    ("not found", "/nothing", "Not found"),
)

GALLERY = """<!doctype html><html lang="en"><head><title>Preview</title></head><body><h1>Preview</h1></body></html>"""


def fill_workspace(workspace: Workspace) -> None:
    """Add runs in every state, with losses, events, decisions, a time line and a preview."""
    refused = Result(0, Outcome.REFUSED, None, f'MessageRejected: "{REFUSED_ADDRESS}" {HOSTILE}', 0, 1)
    failed = Result(0, Outcome.FAILED, None, "ServiceUnavailable: try again later", 0, 5)
    lost = {REFUSED_ADDRESS: refused, "person5@x.example": failed}
    add_run(workspace, FINISHED, outcomes=lost)
    add_run(workspace, SENDING, settled=False, outcomes=lost, at=SENT_AT + timedelta(days=1))
    add_run(workspace, PAUSED, settled=False, at=SENT_AT + timedelta(days=2))
    control.pause(workspace.ledger, PAUSED, reason=HOSTILE, clock=workspace.clock)
    add_events(workspace, [make_event_of_row("Delivery", FINISHED, row, f"person{row}@x.example") for row in (0, 1)])
    _add_pace(workspace, FINISHED, SENDING)
    assert refresh_figures(workspace.ledger, workspace.store, workspace.clock, [FINISHED], is_forced=True) == [FINISHED]
    keep_alive(workspace, SENDING)
    gallery = workspace.store.local_folder / "previews" / FINISHED.partition("/")[0] / "gallery.html"
    gallery.parent.mkdir(parents=True)
    write_file(gallery, GALLERY.encode())


def keep_alive(workspace: Workspace, run: str, worker: str = "w") -> None:
    """Let a worker of a run seem alive, with figures of its own."""
    vitals = {
        "rate_limit": 14.0, "in_flight": 3, "concurrency": 8, "latency_ms": 92.5, "lag_p99_ms": 1.0, "throttles": 2,
        "done": 30, "lost": 0, "refused": 0,
    }  # fmt: skip
    with workspace.ledger.write() as tx:
        workers.unregister_worker(tx, worker)
        workers.register_worker(tx, worker, run=run, account="a", now=workspace.clock.now())
        workers.write_vitals(tx, worker=worker, vitals=vitals)


def _add_pace(workspace: Workspace, *runs: str) -> None:
    first = PaceSample(
        worker="w", at=SENT_AT, seconds=60.0, handed_over=800, throttled=3, rate_limit=14.0, in_flight=3,
        latency_ms=90.0,
    )  # fmt: skip
    for run in runs:
        with workspace.ledger.write() as tx:
            for minute in range(1, 13):
                at, sent = SENT_AT + timedelta(minutes=minute), 700 + 10 * minute
                add_sample(tx, run, replace(first, at=at, handed_over=sent, throttled=minute % 4))


@contextmanager
def open_dashboard(workspace: Workspace, **listening: Any) -> Iterator[str]:
    """Serve the dashboard in a thread of its own; yields its URL."""
    ready, done = threading.Event(), threading.Event()
    found: list[str] = []

    async def serve() -> None:
        given: dict[str, Any] = {"host": "127.0.0.1", "port": 0} | listening
        async with run_dashboard(workspace, Listening(**given)) as url:
            found.append(url)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        assert ready.wait(30)
        yield found[0]
    finally:
        done.set()
        thread.join(30)


class PageReply(Struct, frozen=True):
    """What the dashboard answered; the headers' names are in small letters."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def form_token(self) -> str:
        """The token of the page's form."""
        found = re.search(r'name="form_token" value="([^"]+)"', self.text)
        assert found is not None, self.text
        return found[1]

    @property
    def cookie(self) -> str:
        """The session's cookie, as a browser sends it back."""
        return self.headers["set-cookie"].partition(";")[0]


def ask(url: str, path: str, method: str = "GET", form: Mapping[str, str] | None = None, **headers: str) -> PageReply:
    """Send a request as a browser does; `_` in the names of headers stands for `-`."""
    body = None if form is None else urlencode(form)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if form is not None:
        sent = {"Content-Type": "application/x-www-form-urlencoded"} | sent
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        connection.request(method, path, body, {"Accept": "text/html"} | sent)
        reply = connection.getresponse()
        text = reply.read().decode("utf-8", "replace")
        return PageReply(reply.status, {name.lower(): value for name, value in reply.getheaders()}, text)


def act(url: str, path: str, **form: str) -> PageReply:
    """Open the page of an action as a person does, and send its form."""
    page = ask(url, path)
    return ask(url, path, "POST", {"form_token": page.form_token, **form}, Cookie=page.cookie, Origin=url)
