"""What the processes of one command measure while they work. Cheap: a few numbers, read when somebody asks.

A worker process sends its `Pulse` to the process that started it, which adds up all of them.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping

from msgspec import Struct, field

from engine.metrics.catalogue import CALL_BOUNDS


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
        calls: number of calls by duration, one for each bound and one for longer ones.
        call_seconds: of all calls together.
    """

    region: str = ""
    rate_limit: float = 0.0
    in_flight: int = 0
    throttles: int = 0
    quota_left: float | None = None
    quota_limit: float | None = None
    is_warned: bool = False
    calls: list[int] = field(default_factory=lambda: [0] * (len(CALL_BOUNDS) + 1))
    call_seconds: float = 0.0

    def observe(self, seconds: float, calls: int) -> None:
        """Record how long some calls took, in the mean."""
        self.calls[bisect_left(CALL_BOUNDS, seconds)] += calls
        self.call_seconds += seconds * calls

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

    def note_events(self, kinds: Mapping[str, int], newest: float | None) -> None:
        """Take the number of events processed so far by this command, and the time of the newest."""
        self.events = Counter(kinds)
        self.newest_event = newest
