"""Other senders of the account: the recipients that SES counts and mailrun did not send to. Pure."""

from msgspec import Struct

# SentLast24Hours lags, so after our own rate falls it shows more than we send for a while. Two readings must agree.
_FEWEST_SECONDS = 10.0


class OtherSenders(Struct):
    """Estimates how many recipients a second others send to.

    Attributes:
        rate: recipients a second, by others; the lower of the last two readings.
    """

    rate: float = 0.0
    _sent: float | None = None
    _own: float = 0.0
    _at: float = 0.0
    _last: float = 0.0

    def forget(self) -> None:
        """Discard the last count: it is no longer comparable, because the number of workers that send has changed."""
        self._sent = None

    def observe(self, *, sent_24_hours: float, own: float, now: float) -> None:
        """Update the estimate from the quota as read now.

        Args:
            sent_24_hours: by all senders, as SES counts it. Mail older than 24 hours leaves the count, which hides
                other senders.
            own: recipients that all workers of this ledger sent to since any one moment.
            now: monotonic time.
        """
        if self._sent is not None:
            seconds = now - self._at
            if seconds < _FEWEST_SECONDS:
                return
            found = max(0.0, ((sent_24_hours - self._sent) - (own - self._own)) / seconds)
            self.rate = min(found, self._last)
            self._last = found
        self._sent, self._own, self._at = sent_24_hours, own, now
