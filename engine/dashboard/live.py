"""Live pages: one reader for each run that is watched, shared by all who watch it, and server-sent events."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from aiohttp import web

from engine.clock import Clock
from engine.dashboard.live_figures import LiveFigures, RateMeter
from engine.dashboard.threads import BusyError, ReadThreads
from engine.errors import MailrunError
from engine.logs import get_logger

READ_SECONDS = 1.0  # between two reads of a run
_SHARE = 5  # reads take at most one part in so many of the time
_QUIET_SECONDS = 15.0  # without a change, after which a comment shows that the connection is alive
_HISTORY = 300  # points of the chart for a page that is opened now
MOST_VIEWERS = 100
ReadLive = Callable[[str], LiveFigures]


class LiveRun:
    """Reads one run for all who watch it.

    Args:
        name: of the run.
        read: reads its figures; it is called in a thread.
        threads: for the reads.
        clock: monotonic time.
    """

    def __init__(self, name: str, read: ReadLive, threads: ReadThreads, clock: Clock) -> None:
        self._name, self._read, self._threads, self._clock = name, read, threads, clock
        self._meter = RateMeter()
        self._changed = asyncio.Condition()
        self._version = 0
        self._message: bytes = b""
        self._is_over = False
        self.history: deque[dict[str, Any]] = deque(maxlen=_HISTORY)
        self.viewers = 0

    async def keep_reading(self) -> None:
        """Read until the run is over, or the task is cancelled."""
        while not self._is_over:
            begun = self._clock.monotonic()
            await self._publish(await self._make_message())
            took = self._clock.monotonic() - begun
            await self._clock.sleep(max(READ_SECONDS, took * _SHARE))

    async def _make_message(self) -> bytes:
        """Read the figures; an error of the ledger is shown to the viewers, and the next read tries again."""
        try:
            found = await self._threads.run(lambda: self._read(self._name))
        except MailrunError as error:
            return _event("problem", {"what": error.what, "remedy": error.remedy})
        except BusyError:
            return self._message
        except Exception as error:  # noqa: BLE001 - logged; the viewers see that the figures are old
            get_logger().error("dashboard.bug", exc_info=error)
            return _event("problem", {"what": "A fault in mailrun keeps the figures from being read.", "remedy": ""})
        rate = self._meter.measure(self._clock.monotonic(), found.done)
        self._is_over = found.is_over
        document = found.to_json(rate) | {"at": round(self._clock.now().timestamp(), 1)}
        self.history.append({"at": document["at"], **document["figures"]})
        return _event("figures", document)

    async def _publish(self, message: bytes) -> None:
        async with self._changed:
            self._message = message
            self._version += 1
            self._changed.notify_all()

    async def follow(self) -> AsyncIterator[bytes]:
        """Yield each message, or the newest one where the viewer is slow; ends with the run."""
        seen = 0
        while True:
            async with self._changed:
                if self._version == seen and self._is_over:
                    return
                if self._version == seen:
                    try:
                        await asyncio.wait_for(self._changed.wait(), _QUIET_SECONDS)
                    except TimeoutError:
                        yield b": still here\n\n"
                        continue
                seen, message = self._version, self._message
            yield message


class LiveRuns:
    """All runs that are watched now.

    Args:
        read: reads the figures of a run; it is called in a thread.
        threads: for the reads.
        clock: monotonic time.
    """

    def __init__(self, read: ReadLive, threads: ReadThreads, clock: Clock) -> None:
        self._read, self._threads, self._clock = read, threads, clock
        self._runs: dict[str, tuple[LiveRun, asyncio.Task[None]]] = {}
        self._streams: set[asyncio.Task[Any]] = set()
        self._closing = asyncio.Event()

    @property
    def watched(self) -> int:
        """Number of runs that are read now."""
        return len(self._runs)

    async def stream(self, request: web.BaseRequest, name: str, headers: dict[str, str]) -> web.StreamResponse:
        """Send the figures of a run as server-sent events, until the run is over or the viewer leaves.

        Args:
            request: of the viewer.
            name: of the run.
            headers: of the answer.

        Raises:
            BusyError: too many watch already.
        """
        if len(self._streams) >= MOST_VIEWERS or self._closing.is_set():
            raise BusyError
        response = web.StreamResponse(headers={**headers, "Content-Type": "text/event-stream; charset=utf-8"})
        response.force_close()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine always runs in one
        self._streams.add(task)
        run = self._join(name)
        try:
            await response.prepare(request)
            await response.write(_event("history", list(run.history)))
            async for message in run.follow():
                await response.write(message)
        except ConnectionError:
            pass  # the viewer left
        except asyncio.CancelledError:
            if not self._closing.is_set():
                raise
            task.uncancel()
        finally:
            self._streams.discard(task)
            self._leave(name)
        return response

    def _join(self, name: str) -> LiveRun:
        found = self._runs.get(name)
        if found is None:
            run = LiveRun(name, self._read, self._threads, self._clock)
            found = self._runs[name] = (run, asyncio.create_task(run.keep_reading()))
        found[0].viewers += 1
        return found[0]

    def _leave(self, name: str) -> None:
        run, reading = self._runs[name]
        run.viewers -= 1
        if not run.viewers:
            reading.cancel()
            del self._runs[name]

    def close(self) -> None:
        """End every stream and every reader now."""
        self._closing.set()
        for task in self._streams:
            task.cancel()
        for _, reading in self._runs.values():
            reading.cancel()


def _event(kind: str, document: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps(document))
