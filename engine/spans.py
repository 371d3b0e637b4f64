"""Spans: what took how long, for traces. Without a listener they cost a function call and nothing else."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class SpanListener(Protocol):
    """Takes spans."""

    def add(self, name: str, began: float, ended: float, attributes: dict[str, str | int | float]) -> None:
        """Take one span, on any thread.

        Args:
            name: what was done; one of a few names.
            began: monotonic time.
            ended: monotonic time.
            attributes: numbers and short texts, without addresses.
        """


_listeners: list[SpanListener] = []  # one for the process


@contextmanager
def listen_to_spans(listener: SpanListener) -> Iterator[None]:
    """Report all spans to a listener until the block ends."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def record_span(name: str, began: float, **attributes: str | float) -> None:
    """Report work that ends now.

    Args:
        name: what was done.
        began: monotonic time, by `time.monotonic`.
        **attributes: numbers and short texts, without addresses.
    """
    if _listeners:
        ended = time.monotonic()
        for listener in _listeners:
            listener.add(name, began, ended, attributes)


@contextmanager
def span(name: str, **attributes: str | float) -> Iterator[None]:
    """Report a block of work; arguments as record_span."""
    began = time.monotonic()
    try:
        yield
    finally:
        record_span(name, began, **attributes)
