"""How much the account may send: the rate as a token bucket with debt, the quota as a rolling day.

Source: SES developer guide, "Service quotas" and "Errors related to the sending quotas": both count recipients.
"""

from collections import deque

from engine.clock import Clock

BURST_SECONDS = 1.0  # so much of the rate may be used at once after a pause
DAY_SECONDS = 24 * 60 * 60


class RateBucket:
    """MaxSendRate as a token bucket, one token a recipient.

    A call is accepted while the bucket holds anything, and may take more than it holds: a large call leaves a debt that
    later calls wait for. So in any sliding second less than rate + burst + the largest call is accepted.

    Args:
        rate: recipients a second.
        clock: its monotonic clock fills the bucket.
    """

    def __init__(self, rate: float, clock: Clock) -> None:
        self._clock = clock
        self._rate = rate
        self._tokens = rate * BURST_SECONDS
        self._filled_at = clock.monotonic()

    @property
    def rate(self) -> float:
        """Recipients a second."""
        return self._rate

    def set_rate(self, rate: float) -> None:
        """Change the rate from now on; saved tokens are cut to the new burst, a debt stays."""
        self._fill()
        self._rate = rate
        self._tokens = min(self._tokens, rate * BURST_SECONDS)

    def has_tokens(self) -> bool:
        """Return whether a call would be accepted now."""
        self._fill()
        return self._tokens > 0

    def take(self, recipients: int) -> None:
        """Take the tokens of a call, into debt if need be. Call `has_tokens` first."""
        self._tokens -= recipients

    def _fill(self) -> None:
        now = self._clock.monotonic()
        self._tokens = min(self._tokens + (now - self._filled_at) * self._rate, self._rate * BURST_SECONDS)
        self._filled_at = now


class RollingQuota:
    """Recipients of the last 24 hours, to the second.

    Args:
        maximum: how many may be sent in 24 hours; -1 for no limit.
        clock: its monotonic clock moves the window.
    """

    def __init__(self, maximum: float, clock: Clock) -> None:
        self.maximum = maximum
        self._clock = clock
        self._seconds: deque[list[int]] = deque()  # [second, recipients], oldest first; at most a day of them
        self._sent = 0

    @property
    def sent(self) -> int:
        """Recipients sent to in the last 24 hours."""
        self._forget()
        return self._sent

    def has_room(self, recipients: int) -> bool:
        """Return whether so many more would stay within the quota."""
        return self.maximum < 0 or self.sent + recipients <= self.maximum

    def add(self, recipients: int) -> None:
        """Count what was accepted."""
        second = int(self._clock.monotonic())
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1][1] += recipients
        else:
            self._seconds.append([second, recipients])
        self._sent += recipients

    def _forget(self) -> None:
        horizon = int(self._clock.monotonic()) - DAY_SECONDS
        while self._seconds and self._seconds[0][0] <= horizon:
            self._sent -= self._seconds.popleft()[1]


class SlidingSecond:
    """The most recipients that were accepted within any second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._window: deque[tuple[float, int]] = deque()
        self._sum = 0
        self.largest = 0

    def add(self, recipients: int) -> None:
        """Count what was accepted now."""
        now = self._clock.monotonic()
        self._window.append((now, recipients))
        self._sum += recipients
        while self._window[0][0] <= now - 1.0:
            self._sum -= self._window.popleft()[1]
        self.largest = max(self.largest, self._sum)
