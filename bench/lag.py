"""How long the event loop is blocked at full speed: by its own work, and including the rest of the machine.

A launch in this process against a sink in another. The loop is blocked from one look at its sockets to the next; its
own work is the CPU time of its thread in that time, the rest is other threads and other processes. How late a timer is,
as the worker itself measures it every 50 ms, may take two such rounds.
"""

import json
import os
import selectors
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

from bench.servers import make_environment, run_sink
from bench.workspaces import make_workspace, write_audience
from engine.delivery.pacing.concurrency import LagMeter

MESSAGES = 100_000
COMMAND = ("launch", "welcome", "--key", "k", "--json", "--workers", "1", "--workspace")


class Holds:
    """Times between two looks at the sockets, while a run sends."""

    def __init__(self, select: Callable[..., Any]) -> None:
        self._select = select
        self._began: tuple[float, float] | None = None
        self.is_sending = False
        self.own: list[float] = []
        self.whole: list[float] = []
        self.late: list[float] = []

    def look(self, selector: selectors.BaseSelector, timeout: float | None = None) -> Any:
        if self._began is not None and self.is_sending:
            self.own.append(time.thread_time() - self._began[0])
            self.whole.append(time.perf_counter() - self._began[1])
        found = self._select(selector, timeout)
        self._began = time.thread_time(), time.perf_counter()
        return found


def main() -> None:
    print(f"event loop: {MESSAGES:,} messages of the welcome campaign at full speed, one worker")
    for bulk in (True, False):
        holds, accounts = launch(bulk=bulk)
        assert accounts["sent"] == MESSAGES
        own, whole = describe(holds.own), describe(holds.whole)
        print(f"{'bulk' if bulk else 'single':8} held by its own work {own}; with all else {whole}")
        print(f"{'':8} a timer is late by {describe(holds.late)}")


def launch(*, bulk: bool) -> tuple[Holds, dict[str, Any]]:
    from engine.cli.table import cli  # noqa: PLC0415 - after the environment
    from engine.run.send import wiring as sending  # noqa: PLC0415 - as above

    holds, send = Holds(selectors.EpollSelector.select), sending.send_run

    async def send_run(*arguments: Any) -> None:
        holds.is_sending = True
        try:
            await send(*arguments)
        finally:
            holds.is_sending = False

    output = StringIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        run_sink(0.0) as sink,
        mock.patch.dict(os.environ, make_environment(sink)),
        mock.patch.object(selectors.EpollSelector, "select", lambda *given: holds.look(*given)),  # noqa: PLW0108 - binds the selector
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
