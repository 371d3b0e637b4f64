"""Further processes on this machine that send for a run. Each is a worker like this one.

They share the rate through the ledger, like workers on other machines. They receive this process's stop; a process
whose parent has died stops by itself, in order.
"""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, Self

from msgspec import Struct, field

from engine.clock import Clock
from engine.logs import get_logger
from engine.stopping.stop import Stop, StopCause, StopReason

LOOK_SECONDS = 5.0
BUSY = 0.85  # of a core: a process that computes more than that in Python is at its limit
USED = 0.95  # of the rate: a worker that reaches this share needs no further process

log = get_logger()


class WorkerProcess(Protocol):
    """A running process."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def stop(self, reason: str, *, at_once: bool = False) -> None:
        """Signal it to stop in order, or without waiting for its calls in flight."""

    async def wait(self) -> int:
        """Wait for its end; returns its exit code."""


StartWorker = Callable[[], WorkerProcess]


class Load(Struct, frozen=True):
    """The load of one process in the last seconds.

    Attributes:
        busy: CPU seconds a second.
        share: of its rate that it used.
    """

    busy: float
    share: float


def needs_worker(load: Load, *, running: int, cores: int, work_left: bool) -> bool:
    """Return whether another process would help: this one is at its limit, and neither the rate nor the machine is.

    Args:
        load: this process's.
        running: processes that send for the run on this machine.
        cores: of the machine.
        work_left: there are leases that no worker holds.
    """
    return work_left and running < cores and load.busy >= BUSY and load.share < USED


class WorkerProcesses(Struct):
    """The processes that this one has started. An async context manager: leaving it waits for their end.

    Attributes:
        start: starts one; None where further processes are not possible.
        wanted: number of processes that send, this one included; None for as many as are needed.
        stop: passed on.
        clock: monotonic time.
    """

    start: StartWorker | None
    wanted: int | None
    stop: Stop
    clock: Clock
    _running: list[asyncio.Task[None]] = field(default_factory=list)
    _alive: list[WorkerProcess] = field(default_factory=list)
    _cpu: float = 0.0
    _at: float = 0.0
    _sent: int = 0

    async def __aenter__(self) -> Self:
        """Start the configured number."""
        self._cpu, self._at = time.process_time(), self.clock.monotonic()
        for _ in range((self.wanted or 1) - 1):
            self.add()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for all of them; after a second signal they stop at once."""
        if kind is not None:
            for process in self._alive:
                process.stop(self._reason, at_once=kind is asyncio.CancelledError)
        await asyncio.gather(*self._running)

    def add(self) -> None:
        """Start one more."""
        if self.start is None:
            return
        process = self.start()
        log.info("worker.started", pid=process.pid)
        self._alive.append(process)
        self._running.append(asyncio.create_task(self._attend(process), name=f"process {process.pid}"))

    async def _attend(self, process: WorkerProcess) -> None:
        ending, stopping = asyncio.create_task(process.wait()), asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait((ending, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                process.stop(self._reason)
            code = await ending
        finally:
            stopping.cancel()
            with suppress(asyncio.CancelledError):
                await stopping
            if not ending.done():
                process.stop(self._reason)
                ending.cancel()
        self._alive.remove(process)
        if code != 0:
            note = "the other workers continue its leases"
            log.warning(
                "worker.ended", pid=process.pid, exit_code=code, note=f"a worker process ended with {code}; {note}"
            )

    @property
    def _reason(self) -> str:
        return "the launch has ended" if self.stop.reason is None else self.stop.reason.text

    def add_if_needed(self, *, admitted: int, rate: float, work_left: bool) -> None:
        """Start another process if this one is not fast enough; called every few seconds.

        Args:
            admitted: recipients that this worker has sent to.
            rate: recipients a second that it may send.
            work_left: there are leases that no worker holds.
        """
        now = self.clock.monotonic()
        seconds = now - self._at
        if self.start is None or self.wanted is not None or seconds < LOOK_SECONDS:
            return
        cpu = time.process_time()
        load = Load((cpu - self._cpu) / seconds, (admitted - self._sent) / (rate * seconds))
        self._cpu, self._at, self._sent = cpu, now, admitted
        running = 1 + sum(not task.done() for task in self._running)
        if needs_worker(load, running=running, cores=os.cpu_count() or 1, work_left=work_left):
            self.add()


def stop_with_parent(stop: Stop, sentinel: int) -> None:
    """Stop in order once the process that started this one has ended.

    Args:
        stop: is requested then.
        sentinel: readable when the parent has ended.
    """
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(sentinel)
        stop.request(StopReason(StopCause.SIGNAL, "the launch that started this worker has ended"))

    loop.add_reader(sentinel, end)
