"""The pacer: how many recipients may be handed over now. A pure object; the caller brings the time.

Tokens are recipients. They accrue at the limit, up to one and a twentieth of a second's worth: enough to make up for a
late wake-up of the event loop, so little that a sliding second never holds more than 1.05 seconds' worth and one, and
that a process that slept for a minute wakes without a burst.

SES answers 429 where it allows less than it says. A throttle lowers the limit at once by a factor; replies to calls
made before that are no new evidence and are ignored. Then the limit grows back at a steady few percent a second: it is
near the account's limit within seconds, and a lower one is found again with one throttle every few seconds at most.
"""

from dataclasses import dataclass

BURST_SECONDS = 0.05
DECREASE = 0.7  # of the limit, at each throttle
INCREASE_PER_SECOND = 0.04  # of the ceiling
THROTTLE_ECHO_SECONDS = 1.0  # replies to calls that were under way when the limit was lowered
FLOOR = 0.05  # of the ceiling: probing never stops altogether


@dataclass(slots=True)
class Pacer:
    """A token bucket with a limit that learns.

    Args:
        ceiling: recipients a second that this worker may send.
        now: monotonic time, in seconds.
    """

    ceiling: float
    now: float
    limit: float = 0.0
    _tokens: float = 0.0
    _last_throttle: float = float("-inf")

    def __post_init__(self) -> None:
        self.limit = self.ceiling
        self._tokens = self._capacity

    @property
    def _capacity(self) -> float:
        return 1.0 + self.limit * BURST_SECONDS

    def take(self, recipients: int, now: float) -> float:
        """Take tokens for one call; or say how long to wait before asking again.

        Args:
            recipients: in the call; more than the bucket holds are lent, and the debt is waited off by later calls.
            now: monotonic time, in seconds.

        Returns:
            0.0 where they were taken, else seconds to wait.
        """
        self._advance(now)
        needed = min(float(recipients), self._capacity)
        if self._tokens >= needed:
            self._tokens -= recipients
            return 0.0
        return (needed - self._tokens) / self.limit

    def set_ceiling(self, ceiling: float, now: float) -> None:
        """Take over a new ceiling: the quota was read again, or the rate is shared with more or fewer workers."""
        self._advance(now)
        self.limit = min(ceiling, max(self.limit * ceiling / self.ceiling, ceiling * FLOOR))
        self.ceiling = ceiling
        self._tokens = min(self._tokens, self._capacity)

    def throttle(self, now: float) -> None:
        """Learn from a throttle reply that the account allows less."""
        self._advance(now)
        if now - self._last_throttle < THROTTLE_ECHO_SECONDS:
            return
        self._last_throttle = now
        self.limit = max(self.limit * DECREASE, self.ceiling * FLOOR)
        self._tokens = min(self._tokens, 0.0)

    def _advance(self, now: float) -> None:
        elapsed = max(0.0, now - self.now)
        self.now = now
        self.limit = min(self.ceiling, self.limit + self.ceiling * INCREASE_PER_SECOND * elapsed)
        self._tokens = min(self._capacity, self._tokens + self.limit * elapsed)
