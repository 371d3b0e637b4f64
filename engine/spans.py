"""Spans: what took how long, for traces. Without a listener they cost a function call and nothing else."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeAlias

MOST_KEPT = 10  # spans of one name that a process keeps between two reports
Span: TypeAlias = tuple[str, float, float, dict[str, str | int | float]]  # as the arguments of SpanListener.add


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


def is_listened_to() -> bool:
    """Return whether anything takes the spans of this process."""
    return bool(_listeners)


def forward_spans(spans: Iterable[Span]) -> None:
    """Report spans of another process of this machine; its monotonic clock is the same."""
    for listener in _listeners:
        for name, began, ended, attributes in spans:
            listener.add(name, began, ended, attributes)


class SpanBuffer:
    """Keeps the spans of a worker process until it reports them: at most MOST_KEPT of a name; the others are counted.

    Args:
        process: its process id, an attribute of each span.
    """

    def __init__(self, process: int) -> None:
        self._process = process
        self._kept: list[Span] = []
        self._counts: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()

    def add(self, name: str, began: float, ended: float, attributes: dict[str, str | int | float]) -> None:
        """Take one span; the next one that is kept names how many of its name were left out before it."""
        if self._counts[name] >= MOST_KEPT:
            self._left_out[name] += 1
            return
        self._counts[name] += 1
        left_out = self._left_out.pop(name, 0)
        more = {"left_out": left_out} if left_out else {}
        self._kept.append((name, began, ended, {**attributes, "process": self._process, **more}))

    def take(self) -> list[Span]:
        """Return the spans since the last call."""
        kept, self._kept = self._kept, []
        self._counts.clear()
        return kept
