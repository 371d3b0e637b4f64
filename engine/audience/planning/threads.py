"""Process parts in several threads, with ordered results and few parts in memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import polars as pl

# Polars releases the interpreter lock while it works, so threads are enough; each holds one or two parts.
MOST_WORKERS = 4

Part = TypeVar("Part")
Result = TypeVar("Result")


def count_workers() -> int:
    """Return the number of Polars' threads (cores, or POLARS_MAX_THREADS), up to a limit that bounds memory."""
    return max(1, min(pl.thread_pool_size(), MOST_WORKERS))


def work_through(parts: Iterable[Part], work: Callable[[Part], Result]) -> Iterator[Result]:
    """Process parts in several threads; yield the results in the order of the parts.

    The caller's thread iterates over the parts, at most one more than there are workers ahead of the yielded results.
    """
    workers = count_workers()
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="audience") as pool:
        try:
            for part in parts:
                waiting.append(pool.submit(work, part))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
