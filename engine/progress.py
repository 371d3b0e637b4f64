"""Progress of long work: each step reports what it does and how much is done, and a listener shows it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from msgspec import Struct, field


class Step(Struct, eq=False):
    """Work that takes time.

    Attributes:
        name: what is being done, such as `reading the audience`.
        unit: what is counted, such as `rows`; empty if nothing is counted.
        total: how many there are; None if that is not known.
        is_shown: False for work that shows its progress itself.
        done: how many are done.
        began: when, by the monotonic clock.
    """

    name: str
    unit: str = ""
    total: int | None = None
    is_shown: bool = True
    done: int = 0
    began: float = field(default_factory=time.monotonic)

    def advance(self, count: int = 1) -> None:
        """Count what is done."""
        self.done += count

    @property
    def seconds(self) -> float:
        """How long it has taken until now."""
        return time.monotonic() - self.began


class Listener(Protocol):
    """Shows steps."""

    def begin(self, step: Step) -> None:
        """A step has begun; it may be inside another one."""

    def end(self, step: Step) -> None:
        """It has ended, or failed."""


_listeners: list[Listener] = []  # one for the process, because other threads do work too


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Report all steps to a listener until the block ends."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@contextmanager
def step(name: str, unit: str = "", total: int | None = None, *, is_shown: bool = True) -> Iterator[Step]:
    """Mark a block of code as a step.

    Args:
        name: what is being done, for people.
        unit: what `advance` counts, in the plural.
        total: how many there are; None if that is not known.
        is_shown: False for work that shows its progress itself: only its duration is reported.
    """
    one = Step(name, unit, total, is_shown)
    listeners = list(_listeners)
    for listener in listeners:
        listener.begin(one)
    try:
        yield one
    finally:
        for listener in listeners:
            listener.end(one)
