"""What the processes of one command measure while they work. Cheap: a few numbers, read when somebody asks.

A worker process sends its `Pulse` to the process that started it, which adds up all of them.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct, field

from engine.metrics.catalogue import BOUNDS


class Durations(Struct):
    """Durations of one kind.

    Attributes:
        counts: number of them, one for each bound of the catalogue and one for longer ones.
        total: seconds of all together.
    """

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def observe(self, each: Iterable[float]) -> None:
        """Record durations, in seconds."""
        for seconds in each:
            self.counts[bisect_left(BOUNDS, seconds)] += 1
            self.total += seconds


class Pulse(Struct, kw_only=True):
    """What one worker has measured since it began; plain values, because they are sent to another process.

    Attributes:
        region: of AWS, where the campaign names several; else empty.
        rate_limit: recipients a second that it may send now.
        in_flight: calls in flight now.
        throttles: throttle replies.
        quota_left: recipients left in the account's 24-hour quota; None is unlimited or not known.
        quota_limit: that quota.
        is_warned: the guard has warned.
        calls: durations of the calls, each with its record in the journal.
        commits: durations of the commits to the journal.
    """

    region: str = ""
    rate_limit: float = 0.0
    in_flight: int = 0
    throttles: int = 0
    quota_left: float | None = None
    quota_limit: float | None = None
    is_warned: bool = False
    calls: Durations = field(default_factory=Durations)
    commits: Durations = field(default_factory=Durations)

    def end(self) -> None:
        """Send nothing more: the totals stay."""
        self.rate_limit, self.in_flight = 0.0, 0


class Meter(Struct):
    """What a command measures.

    Attributes:
        outcomes: outcome -> recipients.
        pulses: worker -> its pulse; of ended ones as well, for the totals.
        events: kind -> events processed.
        newest_event: Unix time of the newest of them.
        event_lag: how many seconds old the newest of the last batch was when it was processed.
        mails: messages read from the queue of mail.
        queue: which queue is read, `events` or `inbound`; empty for none.
        queue_messages: messages in it; None where that is not known.
        is_read: somebody monitors the command: what costs a request is measured, too.
        changed: is called twice a second while a worker of this process sends.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    pulses: dict[str, Pulse] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    newest_event: float | None = None
    event_lag: float | None = None
    mails: int = 0
    queue: str = ""
    queue_messages: int | None = None
    is_read: bool = False
    changed: Callable[[], None] = lambda: None

    def begin(self, worker: str, region: str = "") -> Pulse:
        """Return the pulse of a worker of this process."""
        return self.pulses.setdefault(worker, Pulse(region=region))

    def take(self, pulses: Mapping[str, Pulse]) -> None:
        """Take the pulses of another process; they replace those that it has sent before."""
        self.pulses.update(pulses)

    def end_all(self, workers: Mapping[str, object]) -> None:
        """Let the workers of a process that has ended send nothing more."""
        for worker in workers:
            if worker in self.pulses:
                self.pulses[worker].end()

    def note_events(self, kinds: Mapping[str, int], newest: float | None, last: float | None, now: float) -> None:
        """Take the counts of events after a batch.

        Args:
            kinds: kind -> events processed so far by this command.
            newest: Unix time of the newest of them.
            last: Unix time of the newest of the last batch that had some.
            now: Unix time.
        """
        if last is not None and self.events != Counter(kinds):
            self.event_lag = max(0.0, now - last)
        self.events = Counter(kinds)
        self.newest_event = newest
