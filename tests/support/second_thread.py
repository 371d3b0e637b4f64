"""Work in a second thread: a thread has one ledger transaction open at most, and two workers have a thread each."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def run_in_thread(work: Callable[[], T]) -> T:
    """Run work in another thread, wait for it, and return its result or raise its error."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work).result()
