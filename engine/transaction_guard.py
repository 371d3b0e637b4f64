"""Refuses file, network and store work while a ledger transaction of the same thread is open.

A transaction that waits for a slow store is ended by the server's idle timeout, and holds its locks until then. The
ledger therefore answers with values, and the work happens between two short transactions. This guard is always on:
code that breaks the rule fails at once, on every ledger and however fast the store is.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class OpenTransactionError(RuntimeError):
    """A bug in mailrun: work that may take long was begun inside a ledger transaction."""


class _Thread(threading.local):
    has_transaction = False


_thread = _Thread()


@contextmanager
def guard_transaction() -> Iterator[None]:
    """Mark this thread as having a ledger transaction open for as long as the block lasts.

    Raises:
        OpenTransactionError: it has one open already.
    """
    refuse_in_transaction("a second ledger transaction")
    _thread.has_transaction = True
    try:
        yield
    finally:
        _thread.has_transaction = False


def refuse_in_transaction(work: object) -> None:
    """Check that this thread has no ledger transaction open.

    Args:
        work: what is about to be done, for the message.

    Raises:
        OpenTransactionError: it has one open.
    """
    if _thread.has_transaction:
        raise OpenTransactionError(f"inside a ledger transaction: {work}")
