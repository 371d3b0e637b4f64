"""The additional processes of `--workers`: each sends for the run, like `mailrun work`."""

import asyncio
import multiprocessing
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Self

from msgspec import Struct

from engine.account.client import Endpoint
from engine.errors import ExitCode, MailrunError
from engine.ledger.journal import Outcome
from engine.logs import configure_logs, get_logger
from engine.metrics.meter import Meter, Pulse
from engine.report.accounts import Accounts
from engine.run.send.processes import stop_with_parent
from engine.run.send.work import SendRequest, work
from engine.spans import SpanBuffer, forward_spans, listen_to_spans
from engine.stopping.signals import NUMBERS
from engine.stopping.stop import Stop, StopCause, StopReason
from engine.system.event_loop import run_loop
from engine.system.interpreter import tune_interpreter
from engine.system.process_limits import describe_limit
from engine.system.streams import make_output_lasting
from engine.system.unhandled import catch_unhandled
from engine.workspace import Workspace, open_workspace

REPORT_SECONDS = 0.5
_BUG = "a worker process ended: this is a bug in mailrun; report it with the traceback"


class WorkerOrder(Struct, frozen=True):
    """The parameters of a worker process: plain values, because they are pickled.

    Attributes:
        workspace: the workspace's folder.
        store: `--store`; None for what the settings say.
        ledger: `--ledger`; None for what the settings say.
        run: its name.
        endpoint: the embedded sandbox; None for what botocore resolves.
        is_traced: whether its spans are reported.
    """

    workspace: Path
    store: str | None
    ledger: str | None
    run: str
    endpoint: Endpoint | None
    is_traced: bool = False


class SpawnedWorker:
    """A running worker process.

    Args:
        order: its parameters.
        count: called with each outcome and its new recipients, twice a second.
        meter: receives what the process measures.
    """

    def __init__(self, order: WorkerOrder, count: Callable[[Outcome, int], None], meter: Meter) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would share connections and the event loop
        self._connection, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(target=run_worker, args=(order, theirs), name="mailrun worker")
        # It starts with its signals blocked: signals of a terminal to the process group wait until it handles them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._count = count
        self._meter = meter
        self._workers: dict[str, Pulse] = {}  # of that process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid or 0

    def stop(self, reason: str, *, at_once: bool = False) -> None:
        """Signal it to stop in order, or at once."""
        with suppress(OSError):  # it has ended
            self._connection.send((reason, at_once))

    async def wait(self) -> int:
        """Count its results until it ends; return its exit code."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def listen() -> None:
            try:
                counts, self._workers, spans = self._connection.recv()
            except (EOFError, OSError):
                loop.remove_reader(self._connection.fileno())
                self._meter.end_all(self._workers)
                ended.set()
                return
            self._meter.take(self._workers)
            forward_spans(spans)
            for outcome, recipients in counts.items():
                self._count(outcome, recipients)

        loop.add_reader(self._connection.fileno(), listen)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._connection.fileno())
        await asyncio.to_thread(self._process.join)
        return self._process.exitcode or 0


class _CountReporter:
    """Counts results, and reports them and what the worker measures to the parent twice a second."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.meter = Meter(changed=self._plan)
        self.spans = SpanBuffer(os.getpid())
        self._counts: Counter[Outcome] = Counter()
        self._planned = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._report()
        self._connection.close()

    def begin(self, accounts: Accounts) -> None:
        """Do nothing: the parent has the accounts."""

    def count(self, outcome: Outcome, recipients: int) -> None:
        """Count recipients that got an outcome."""
        self._counts[outcome] += recipients
        self._plan()

    def _plan(self) -> None:
        if not self._planned:
            self._planned = True
            asyncio.get_running_loop().call_later(REPORT_SECONDS, self._report)

    def _report(self) -> None:
        self._planned = False
        counts, self._counts = self._counts, Counter()
        try:
            if counts or self.meter.pulses:
                self._connection.send((dict(counts), self.meter.pulses, self.spans.take()))
        except OSError:
            pass  # the parent has ended; stop_with_parent stops this worker in order


def run_worker(order: WorkerOrder, connection: Connection) -> None:
    """Run a worker: what a new process does."""
    make_output_lasting()
    configure_logs(verbose=False, only_warnings=True)
    catch_unhandled()
    try:
        tune_interpreter()
        with _CountReporter(connection) as reporter, _open(order) as workspace, ExitStack() as stack:
            if order.is_traced:
                stack.enter_context(listen_to_spans(reporter.spans))
            request = SendRequest(
                workspace=workspace,
                endpoint=order.endpoint,
                begin=reporter.begin,
                count=reporter.count,
                watch=partial(_follow_launch, connection),
                meter=reporter.meter,
            )
            run_loop(work(order.run, request))
    except Exception as raised:  # noqa: BLE001 - logged, masked
        error = describe_limit(raised) or (raised if isinstance(raised, MailrunError) else None)
        if error is None:  # multiprocessing would print the traceback as it is
            get_logger().critical("worker.failed", pid=os.getpid(), exc_info=raised, note=_BUG)
            sys.exit(ExitCode.BUG)
        note = f"a worker process ended: {error}"
        get_logger().error(
            "worker.failed", pid=os.getpid(), what=error.what, where=error.where, do=error.remedy, note=note
        )
        sys.exit(error.exit_code)
    sys.exit(ExitCode.FINISHED)


def _open(order: WorkerOrder) -> Workspace:
    return open_workspace(order.workspace, store=order.store, ledger=order.ledger)


def _follow_launch(orders: Connection, stop: Stop) -> None:
    """Stop when the launch requests it, or has ended.

    A terminal and a scheduler send their signals to the whole process group: here they count as the launch's first,
    however many there are.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def drain(text: str) -> None:
        stop.request(StopReason(StopCause.SIGNAL, text))

    def follow() -> None:
        try:
            reason, at_once = orders.recv()
        except (EOFError, OSError):  # it has ended: its sentinel shows it
            loop.remove_reader(orders.fileno())
            return
        drain(reason)
        if at_once and task is not None and not stop.at_once:
            stop.at_once = True
            task.cancel()

    for number in NUMBERS:
        loop.add_signal_handler(number, drain, f"stopped by {number.name}")
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)
    loop.add_reader(orders.fileno(), follow)
    parent = multiprocessing.parent_process()
    if parent is not None:
        stop_with_parent(stop, parent.sentinel)
