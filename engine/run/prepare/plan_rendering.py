"""Rendering a whole plan as a run would, in several processes, lease by lease, in the same memory for any audience."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice

from engine.audience.planning.lease_range import LeaseRange
from engine.logs import configure_logs, get_logger
from engine.run.prepare.rendered import Rendered
from engine.run.prepare.rendering import LeaseRenderer, RenderJob
from engine.system.process_limits import describe_limit
from engine.system.unhandled import catch_unhandled

ONE_PROCESS_ROWS = 20_000  # up to here, starting more processes takes longer than it saves
log = get_logger()


def render_plan(job: RenderJob, leases: Iterable[LeaseRange], *, processes: int) -> Iterator[Rendered]:
    """Render leases, each by the process that is free; yields what was found in the plan's order.

    Args:
        job: what to render.
        leases: which.
        processes: how many; 1 renders in this one.

    Raises:
        DataError: the plan is damaged.
        ConfigurationError: the campaign needs a key and has none.
    """
    opened = _open_pool(job, processes) if processes > 1 else None
    if opened is None:
        renderer = LeaseRenderer(job)
        yield from map(renderer.render, leases)
        return
    with opened as pool:
        waiting: deque[Future[Rendered]] = deque()
        remaining = iter(leases)
        try:
            _start_processes(pool)
            for lease in islice(remaining, 2 * processes):
                waiting.append(pool.submit(_render_in_process, lease))
            while waiting:
                yield waiting.popleft().result()
                for lease in islice(remaining, 1):
                    waiting.append(pool.submit(_render_in_process, lease))
        except BaseException:  # an error, or a signal: cancel the rest of the rendering
            pool.shutdown(wait=False, cancel_futures=True)  # its thread breaks on a future that another one cancels
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _open_pool(job: RenderJob, processes: int) -> ProcessPoolExecutor | None:
    """Open a pool of processes; None where this machine has no room for their locks, which are files in /dev/shm."""
    # Polars has threads of its own, so a process must not be forked off one that has used it.
    context = multiprocessing.get_context("spawn")
    try:
        return ProcessPoolExecutor(processes, mp_context=context, initializer=_start_process, initargs=(job,))
    except OSError as error:
        if describe_limit(error) is not None:
            raise  # this process may not open more files
        note = "one process renders all messages: further ones need a /dev/shm that can be written"
        log.warning("render.one_process", note=note, error=error.strerror)
        return None


def _start_processes(pool: ProcessPoolExecutor) -> None:
    """Start the pool's processes, in a thread: a signal in mid-start would leave one without its instructions.

    That process would then print a traceback.
    """
    starting = threading.Thread(target=pool.submit, args=(int,), name="start processes")
    starting.start()
    try:
        starting.join()
    except BaseException:
        starting.join()
        raise


def choose_processes(rows: int) -> int:
    """Choose how many processes render so many rows."""
    return (
        1
        if rows <= ONE_PROCESS_ROWS
        else len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )


_renderer: "LeaseRenderer | None" = None


def _start_process(job: RenderJob) -> None:
    global _renderer  # noqa: PLW0603 - what a process of the pool keeps between two leases
    configure_logs(verbose=False, only_warnings=True)
    catch_unhandled()
    _renderer = LeaseRenderer(job)


def _render_in_process(lease: LeaseRange) -> Rendered:
    assert _renderer is not None, "the pool starts its processes with _start_process"  # noqa: S101 - for the type checker
    return _renderer.render(lease)
