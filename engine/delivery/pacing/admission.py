"""State that the gate shares with other tasks: recipients admitted so far, and what makes every call wait."""

from msgspec import Struct

from engine.clock import Clock

SHARE_SECONDS = 10.0  # how long a part of the rate is valid without a heartbeat: other workers take it over after 15 s


class Admission(Struct):
    """The state of one worker's gate.

    Attributes:
        clock: both of its times.
        admitted: recipients admitted so far, without those that were certainly not accepted.
        is_paused: a person paused the run; nothing is admitted until it is resumed.
    """

    clock: Clock
    admitted: int = 0
    is_paused: bool = False
    _held_until: float = float("-inf")
    _share_until: float = float("inf")
    _share_until_at: float = float("inf")

    def hold(self, seconds: float) -> None:
        """Admit nothing for a while: other workers must notice this one first."""
        self._held_until = max(self._held_until, self.clock.monotonic() + seconds)

    def makes_wait(self, now: float) -> bool:
        """Return whether anything makes all calls wait at a monotonic time."""
        return self.is_paused or now < self._held_until or self.is_share_stale(now)

    def seconds_held(self, now: float) -> float:
        """Return how long nothing is admitted from a monotonic time on; 0.0 or less where calls may pass."""
        return self._held_until - now

    def renew_share(self, begun: float, begun_at: float, *, hold_seconds: float) -> None:
        """Record a heartbeat: from now on other workers leave this worker its part of the rate.

        Args:
            begun: monotonic time before the heartbeat was recorded.
            begun_at: wall clock then, in Unix time; a machine's sleep shows in one of the two.
            hold_seconds: how long nothing is admitted if other workers may have taken the part over meanwhile.
        """
        if self.is_share_stale(self.clock.monotonic()):
            self.hold(hold_seconds)
        self._share_until, self._share_until_at = begun + SHARE_SECONDS, begun_at + SHARE_SECONDS

    def is_share_stale(self, now: float) -> bool:
        """Return whether the last heartbeat is so old that others may use this worker's part of the rate."""
        return now > self._share_until or self.clock.now().timestamp() > self._share_until_at
