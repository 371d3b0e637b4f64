"""Work on many parts at once, with the results in order and never many parts in memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import polars as pl

# Polars leaves the interpreter free while it works, so threads are enough; each holds a part or two.
MOST_WORKERS = 4

Part = TypeVar("Part")
Result = TypeVar("Result")


def count_workers() -> int:
    """As many as Polars has threads (cores, or POLARS_MAX_THREADS), and not so many that memory grows with them."""
    return max(1, min(pl.thread_pool_size(), MOST_WORKERS))


def work_through(parts: Iterable[Part], work: Callable[[Part], Result]) -> Iterator[Result]:
    """Work on parts in several threads; yield the results in the order of the parts.

    The parts are drawn in the caller's thread, at most one more than there are workers ahead of what was yielded.
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
