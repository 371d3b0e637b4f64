"""When a message that was certainly not accepted is tried again."""

import random

from msgspec import Struct

from engine.delivery.replies import ReplyMeaning


class RetryPolicy(Struct, frozen=True):
    """Exponential back-off with full jitter, bounded by attempts and by time.

    Attributes:
        first_seconds: mean wait after the first attempt; the range is from nothing to twice the mean.
        longest_seconds: the upper end of the range is never longer.
        attempts: dispatches at most.
        seconds: since the first dispatch; after that the message is not retried.
    """

    first_seconds: float
    longest_seconds: float
    attempts: int
    seconds: float

    def next_wait(self, *, attempts: int, elapsed_seconds: float, jitter: float) -> float | None:
        """Return seconds to wait before the next attempt, or None if there is none.

        Args:
            attempts: made so far, at least one.
            elapsed_seconds: since the first.
            jitter: from 0 to 1, drawn by the caller.
        """
        wait = min(self.longest_seconds, self.first_seconds * 2.0 ** min(attempts, 30)) * jitter
        if attempts >= self.attempts or elapsed_seconds + wait > self.seconds:
            return None
        return wait


POLICIES = {
    ReplyMeaning.RETRY_ONCE: RetryPolicy(first_seconds=0.5, longest_seconds=20, attempts=2, seconds=120),
    # Each message is sent again alone, at once; the one that is refused then is the cause.
    ReplyMeaning.SPLIT: RetryPolicy(first_seconds=0, longest_seconds=0, attempts=1_000, seconds=600),
    # The gate does not open before part of the quota is free, which may take a day and more.
    ReplyMeaning.QUOTA: RetryPolicy(first_seconds=5, longest_seconds=60, attempts=10_000, seconds=7 * 86_400),
    ReplyMeaning.RETRY: RetryPolicy(first_seconds=0.5, longest_seconds=20, attempts=6, seconds=120),
    ReplyMeaning.UNREACHABLE: RetryPolicy(first_seconds=0.5, longest_seconds=20, attempts=12, seconds=120),
    # The pacer slows down; the wait only spreads the returning calls. Throttling is temporary, so the time counts and
    # not the attempts.
    ReplyMeaning.SLOW_DOWN: RetryPolicy(first_seconds=0.5, longest_seconds=5, attempts=1_000, seconds=600),
}


def draw_jitter() -> float:
    """Draw a number from 0 to 1."""
    return random.random()  # noqa: S311 - spreads retries, protects nothing
