"""How long an event waits for the event loop at full speed: for its own work, and including the rest of the machine.

A launch in this process against a sink in another. A thread puts an event into the loop, and the next one 2 ms after it
was served. The loop's own work is the CPU time of its thread in that time, the rest is other threads and other
processes. How late a timer is, as the worker itself measures it every 50 ms, includes the rounds between two events.
"""

import asyncio
import json
import os
import tempfile
import threading
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

from bench.servers import make_environment, run_sink
from bench.workspaces import make_workspace, write_audience
from engine.delivery.pacing.concurrency import LagMeter

MESSAGES = 100_000
BETWEEN_SECONDS = 0.002
COMMAND = ("launch", "welcome", "--key", "k", "--json", "--workers", "1", "--workspace")


class Holds:
    """How long events waited while a run sends."""

    def __init__(self) -> None:
        self.own: list[float] = []
        self.whole: list[float] = []
        self.late: list[float] = []
        self._ended = threading.Event()

    def watch(self, loop: asyncio.AbstractEventLoop) -> threading.Thread:
        """Start the thread; must be called in the loop's thread."""
        clock = time.pthread_getcpuclockid(threading.get_ident())
        thread = threading.Thread(target=self._put_events, args=(loop, clock), daemon=True)
        thread.start()
        return thread

    def end(self) -> None:
        self._ended.set()

    def _put_events(self, loop: asyncio.AbstractEventLoop, clock: int) -> None:
        served = threading.Event()

        def serve(own: float, whole: float) -> None:
            self.own.append(time.thread_time() - own)
            self.whole.append(time.perf_counter() - whole)
            served.set()

        while not self._ended.wait(BETWEEN_SECONDS):
            served.clear()
            loop.call_soon_threadsafe(serve, time.clock_gettime(clock), time.perf_counter())
            served.wait()


def main() -> None:
    print(f"event loop: {MESSAGES:,} messages of the welcome campaign at full speed, one worker")
    for bulk in (True, False):
        holds, accounts = launch(bulk=bulk)
        assert accounts["sent"] == MESSAGES
        own, whole = describe(holds.own), describe(holds.whole)
        print(f"{'bulk' if bulk else 'single':8} an event waits for the loop's own work {own}; with all else {whole}")
        print(f"{'':8} a timer is late by {describe(holds.late)}")


def launch(*, bulk: bool) -> tuple[Holds, dict[str, Any]]:
    from engine.cli.table import cli  # noqa: PLC0415 - after the environment
    from engine.run.send import wiring as sending  # noqa: PLC0415 - as above

    holds, send = Holds(), sending.send_run

    async def send_run(*arguments: Any) -> None:
        thread = holds.watch(asyncio.get_running_loop())
        try:
            await send(*arguments)
        finally:
            holds.end()
            await asyncio.to_thread(thread.join)

    output = StringIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        run_sink(0.0) as sink,
        mock.patch.dict(os.environ, make_environment(sink)),
        mock.patch("engine.run.send.work.send_run", send_run),
        mock.patch.object(LagMeter, "add", lambda _, seconds: holds.late.append(seconds)),
        redirect_stdout(output),
    ):
        workspace = make_workspace(Path(folder), bulk=bulk)
        write_audience(workspace, MESSAGES)
        cli.main([*COMMAND, str(workspace)], standalone_mode=False)
    return holds, json.loads(output.getvalue())


def describe(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return f"p99 {ordered[int(len(ordered) * 0.99)] * 1000:.1f} ms, at most {ordered[-1] * 1000:.1f} ms"


if __name__ == "__main__":
    main()
