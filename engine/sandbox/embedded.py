"""A sandbox in its own thread, for a command or a test that is a client of it."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from engine.sandbox.server import REGION, Sandbox, SandboxSettings


@dataclass(frozen=True)
class EmbeddedSandbox:
    """The addresses and credentials of a running sandbox."""

    url: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    queue_url: str = ""
    token: str = field(default="", repr=False)
    region: str = REGION

    @property
    def inbox_url(self) -> str:
        """The address of the inbox, with its token."""
        return f"{self.url}/{self.token}/"


_Started = tuple[str, str, asyncio.AbstractEventLoop, asyncio.Event]


@contextmanager
def run_in_thread(settings: SandboxSettings) -> Iterator[EmbeddedSandbox]:
    """Run a sandbox in its own thread and event loop until the context ends.

    Args:
        settings: how it is set up; the client gets the first of its credentials.

    Raises:
        ConfigurationError: it cannot start; see `Sandbox.start`.
    """
    started: Future[_Started] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_run(settings, started)), name="sandbox", daemon=True)
    thread.start()
    try:
        url, queue_url, _, _ = started.result()
        access_key_id, secret = next(iter(settings.credentials.items()))
        yield EmbeddedSandbox(url, access_key_id, secret, queue_url, settings.token)
    finally:
        if started.exception() is None:
            _, _, loop, stop = started.result()
            loop.call_soon_threadsafe(stop.set)
        thread.join()


async def _run(settings: SandboxSettings, started: "Future[_Started]") -> None:
    """Serve until the event in `started` is set; `started` gets the error if the server cannot start."""
    stop = asyncio.Event()
    try:
        async with Sandbox(settings) as sandbox:
            started.set_result((sandbox.url, sandbox.queue_url, asyncio.get_running_loop(), stop))
            await stop.wait()
    except Exception as problem:
        if started.done():
            raise
        started.set_exception(problem)
