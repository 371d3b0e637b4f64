"""The pacer: how many recipients may be handed over now. A pure object; the caller passes the time.

Tokens are recipients. They accrue at the limit, up to one and a tenth of a second's worth: enough to make up for a late
wake-up of the event loop, so little that a sliding second never holds more than 1.1 seconds' worth and one, and that a
process that slept for a minute wakes without a burst.

SES answers 429 where it allows less than its quota, for instance because others send too. The limit then follows the
curve of CUBIC (RFC 9438), with the limit in the place of the window:

* A throttle lowers it at once to 85 % (multiplicative decrease), and the old limit is remembered. Replies to calls
  made before that prove nothing new and are ignored for a second.
* From there it grows back fast, then ever slower towards the old limit, and beyond only after a plateau (slow
  probing): a lower limit of the account is met with a throttle every ten seconds or so, and some 96 % of it are used.
* After a storm of throttles, which leaves it at the floor, the curve is back at 95 % of the ceiling within 15 s.
* The curve's pace differs from worker to worker by a fifth either way, so that workers that were throttled together
  do not probe together (no lockstep).
"""

from collections import deque

from msgspec import Struct, field

BURST_SECONDS = 0.1
DECREASE = 0.85  # of the limit, at each throttle
CURVE = 0.0006  # of the ceiling, a second cubed: CUBIC's C
THROTTLE_ECHO_SECONDS = 1.0  # replies to calls that were under way when the limit was lowered
FLOOR = 0.05  # of the ceiling: probing never stops altogether
_GRAIN = 1e-6  # of a token: what rounding of times may lose
SPREAD = 0.2  # how far the paces of workers differ


class Pacer(Struct):
    """A token bucket whose limit adapts to throttle replies.

    Args:
        ceiling: recipients a second that this worker may send.
        now: monotonic time, in seconds.
        jitter: from 0 to 1, drawn once a worker: sets its pace of recovery.
    """

    ceiling: float
    now: float
    jitter: float = 0.5
    limit: float = 0.0
    throttles: int = 0
    _tokens: float = 0.0
    _throttled_at: float = float("-inf")
    _plateau: float = 1.0  # share of the ceiling at which the last throttle came
    _dip: float = 0.0  # seconds from the last throttle back to the plateau

    def __post_init__(self) -> None:
        self.limit = self.ceiling
        self._tokens = self._capacity

    @property
    def _capacity(self) -> float:
        return 1.0 + self.limit * BURST_SECONDS

    @property
    def _pace(self) -> float:
        return CURVE * (1.0 + SPREAD * (2.0 * self.jitter - 1.0))

    def take(self, recipients: int, now: float) -> float:
        """Take the tokens of one call, or return how long to wait before the next try.

        Args:
            recipients: in the call; it may take more than the bucket holds, and later calls wait until the debt is
                paid.
            now: monotonic time, in seconds.

        Returns:
            0.0 where they were taken, else seconds to wait.
        """
        self._advance(now)
        needed = min(float(recipients), self._capacity)
        if self._tokens >= needed - _GRAIN:
            self._tokens -= recipients
            return 0.0
        return (needed - self._tokens) / self.limit

    def set_ceiling(self, ceiling: float, now: float) -> None:
        """Set a new ceiling: the quota was read again, or the rate is shared with more or fewer workers.

        What was learned from throttles is kept as a share of the ceiling.
        """
        self._advance(now)
        self.ceiling = ceiling
        self.limit = ceiling * self._share(now)
        self._tokens = min(self._tokens, self._capacity)

    def throttle(self, now: float) -> None:
        """Lower the limit after a throttle reply: the account allows less."""
        self._advance(now)
        self.throttles += 1
        if now - self._throttled_at < THROTTLE_ECHO_SECONDS:
            return
        self._plateau = max(self.limit / self.ceiling, FLOOR)
        self._dip = (self._plateau * (1.0 - DECREASE) / self._pace) ** (1 / 3)
        self._throttled_at = now
        self.limit = self.ceiling * self._share(now)
        self._tokens = min(self._tokens, 0.0)

    def _share(self, now: float) -> float:
        """Return the share of the ceiling that the curve allows."""
        if self._throttled_at == float("-inf"):
            return 1.0
        curve = self._plateau + self._pace * (now - self._throttled_at - self._dip) ** 3
        return min(1.0, max(FLOOR, curve))

    def _advance(self, now: float) -> None:
        elapsed = max(0.0, now - self.now)
        self.now = max(self.now, now)
        if self.limit < self.ceiling:
            self.limit = self.ceiling * self._share(self.now)
        self._tokens = min(self._capacity, self._tokens + self.limit * elapsed)


class LastSecond(Struct):
    """Recipients handed over in the last second. The pacer admits evenly, but waiting for the disk may bunch calls."""

    _passed: deque[tuple[float, int]] = field(default_factory=deque)
    _count: int = 0

    def take(self, recipients: int, *, rate: float, now: float) -> float:
        """Count one call, or return how long to wait before the next try.

        Args:
            recipients: in the call; after a second without calls, any number may pass.
            rate: recipients a second; a second holds a tenth more, and one.
            now: monotonic time, in seconds.

        Returns:
            0.0 where they were counted, else seconds to wait.
        """
        while self._passed and self._passed[0][0] <= now - 1.0:
            self._count -= self._passed.popleft()[1]
        if self._passed and self._count + recipients > rate * (1.0 + BURST_SECONDS) + 1.0:
            return self._passed[0][0] + 1.0 - now + _GRAIN
        self._passed.append((now, recipients))
        self._count += recipients
        return 0.0
