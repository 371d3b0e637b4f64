"""The guard: a run that goes wrong stops itself before it goes wrong for everybody."""

from dataclasses import dataclass

FEWEST_LOSSES = 10  # below that a high rate is no evidence yet


@dataclass(slots=True)
class FailureGuard:
    """Watches the share of messages that were refused, failed or left in doubt.

    Args:
        max_failure_rate: `[guard] max_failure_rate`, 0 to 1.
    """

    max_failure_rate: float
    done: int = 0
    lost: int = 0

    def count(self, *, lost: bool) -> None:
        """Count one message that got its outcome."""
        self.done += 1
        self.lost += lost

    @property
    def tripped(self) -> bool:
        """Tell whether too many were lost."""
        return self.lost >= FEWEST_LOSSES and self.lost > self.max_failure_rate * self.done

    def describe(self) -> str:
        """Say what was seen, for the run's reason."""
        share = self.lost / max(1, self.done)
        return (
            f"{self.lost} of {self.done} messages were refused, failed or left in doubt: {share:.1%}, "
            f"and [guard] max_failure_rate is {self.max_failure_rate:.1%}"
        )
