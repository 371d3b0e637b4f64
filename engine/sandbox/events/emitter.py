"""The events of everything on record, made on demand.

Events are made from the record: nothing is kept in memory for a message that was accepted, and a
sandbox that is started again resumes where the last one ended. For each delay in the behaviour there is one
reader of the record; it makes the events of each line that come so long after it.
"""

import random
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from engine.clock import Clock
from engine.sandbox.events.behaviour import Behaviour
from engine.sandbox.events.event_plan import plan_events
from engine.sandbox.events.event_records import identify, make_record
from engine.sandbox.http.record import FILE_NAME, parse_line

Matches = Callable[[str | None, str], bool]  # of configuration set and event type: whether it is published


class Emitted(NamedTuple):
    """An event that has happened.

    Attributes:
        record: its document.
        identity: 32 hexadecimal digits that identify it.
        offset: of its message in the record: a restart from there misses no event.
    """

    record: dict[str, Any]
    identity: str
    offset: int


class _Stream:
    """The events that come so many seconds after acceptance, of a part of the record."""

    def __init__(self, path: Path, delay: float, start: int, behaviour: Behaviour) -> None:
        self._path = path
        self._delay = timedelta(seconds=delay)
        self._seconds = delay
        self._behaviour = behaviour
        self._file: BinaryIO | None = None
        self._next: tuple[int, dict[str, Any]] | None = None  # the first line that is not due yet, and its end
        self.position = start
        self.end: int | None = None  # where another behaviour begins

    @property
    def is_over(self) -> bool:
        return self.end is not None and self.position >= self.end

    def due_at(self) -> datetime | None:
        """Return when the next line's events happen, None when there is none yet."""
        message = self._peek()
        return None if message is None else datetime.fromisoformat(message["at"]) + self._delay

    def take(self, matches: Matches) -> Iterator[Emitted]:
        """Read the next line; yield its events."""
        message, start = self._peek(), self.position
        if message is None or self._next is None:
            return
        self.position, self._next = self._next[0], None
        for number, event in enumerate(plan_events(message, self._behaviour)):
            if event.after == self._seconds and matches(message["configuration_set"], event.kind):
                yield Emitted(make_record(message, event), identify(message["message_id"], str(number)), start)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _peek(self) -> dict[str, Any] | None:
        while self._next is None and not self.is_over:
            line = self._read_line()
            if line is None:
                return None
            message = parse_line(line)
            if message is None:  # incomplete, so it was never acknowledged
                self.position += len(line)
            else:
                self._next = self.position + len(line), message
        return None if self._next is None else self._next[1]

    def _read_line(self) -> bytes | None:
        if self._file is None:
            try:
                self._file = self._path.open("rb")
            except FileNotFoundError:
                return None
            self._file.seek(self.position)
        line = self._file.readline()
        if line.endswith(b"\n"):
            return line
        self._file.seek(self.position)  # the end, or a line that is being written
        return None


class Emitter:
    """One reader of all events, for one destination.

    Args:
        folder: the record's folder.
        behaviour: what happens to mail.
        start: where in the record to begin, in bytes.
        matches: whether a configuration set publishes an event type.
        clock: an event is emitted once its time has come.
    """

    def __init__(self, folder: Path, behaviour: Behaviour, *, start: int, matches: Matches, clock: Clock) -> None:
        self._path = folder / FILE_NAME
        self._matches = matches
        self._clock = clock
        self._streams: list[_Stream] = []
        self._held: list[Emitted] = []  # at most `shuffle` of them, and the events of a message
        self._ready: deque[Emitted] = deque()
        self._behaviours: list[tuple[int, Behaviour]] = []  # the offset from which each one applies
        self._open(behaviour, start)

    def change(self, behaviour: Behaviour) -> None:
        """Change the behaviour for what is accepted from now on."""
        size = self._path.stat().st_size if self._path.exists() else 0
        for stream in self._streams:
            stream.end = size if stream.end is None else stream.end
        self._open(behaviour, size)

    def behaviour_at(self, offset: int) -> Behaviour:
        """Return the behaviour that decides about the message at an offset of the record.

        Messages that were accepted before this process started have the behaviour that it started with.
        """
        holding = [behaviour for start, behaviour in self._behaviours if start <= offset]
        return holding[-1] if holding else self._behaviours[0][1]

    def take(self, most: int) -> list[Emitted]:
        """Return the next events that have happened, in the order in which they are sent."""
        taken: list[Emitted] = []
        while len(taken) < most:
            if not self._ready:
                self._fill()
            if not self._ready:
                break
            taken.append(self._ready.popleft())
        return taken

    def seconds_to_next(self) -> float | None:
        """Return how long it is to the next event, None while none is to be expected."""
        if self._ready or self._held:
            return 0.0
        due = [at for stream in self._streams if (at := stream.due_at()) is not None]
        return max((min(due) - self._clock.now()).total_seconds(), 0.0) if due else None

    @property
    def position(self) -> int:
        """The offset in the record to resume at: `take` has returned all events of earlier messages."""
        return min(
            *(stream.position for stream in self._streams),
            *(event.offset for event in (*self._held, *self._ready)),
            self._streams[-1].position,
        )

    def close(self) -> None:
        """Close the files."""
        for stream in self._streams:
            stream.close()

    def _open(self, behaviour: Behaviour, start: int) -> None:
        self._behaviour = behaviour
        self._behaviours.append((start, behaviour))
        self._dice = random.Random(behaviour.seed)  # noqa: S311 - dice of a test server
        self._streams += [_Stream(self._path, delay, start, behaviour) for delay in sorted(behaviour.delays())]

    def _fill(self) -> None:
        """Make events until one is ready or no more are due; draw the next of the held ones at random."""
        while len(self._held) < self._behaviour.shuffle and self._read_one():
            pass
        if not self._held:
            return
        place = self._dice.randrange(len(self._held)) if self._behaviour.shuffle > 1 else 0
        event = self._held.pop(place)
        self._ready.append(event)
        if self._behaviour.duplicates and self._dice.random() < self._behaviour.duplicates:
            self._ready.append(event)

    def _read_one(self) -> bool:
        """Take the events of the earliest line whose time has come."""
        due = [(at, number) for number, stream in enumerate(self._streams) if (at := stream.due_at()) is not None]
        if not due or min(due)[0] > self._clock.now():
            self._forget_streams()
            return False
        self._held += self._streams[min(due)[1]].take(self._matches)
        return True

    def _forget_streams(self) -> None:
        for stream in [one for one in self._streams if one.is_over]:
            stream.close()
            self._streams.remove(stream)
