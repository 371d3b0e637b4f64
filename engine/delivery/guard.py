"""The guard: a run that goes wrong stops itself before it goes wrong for everybody."""

from collections import Counter
from dataclasses import dataclass, field

FEWEST_LOSSES = 10  # below that a high rate is no evidence yet
ERRORS_KEPT = 100  # different ones; some name the recipient, and memory must not grow with them


@dataclass(slots=True)
class FailureGuard:
    """Watches the share of messages that were refused, failed or left in doubt.

    Args:
        max_failure_rate: `[guard] max_failure_rate`, 0 to 1.
    """

    max_failure_rate: float
    done: int = 0
    lost: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def count(self, error: str | None) -> None:
        """Count one message that got its outcome; `error` says why it was lost, None that it was sent."""
        self.done += 1
        if error is not None:
            self.lost += 1
            if error in self.errors or len(self.errors) < ERRORS_KEPT:
                self.errors[error] += 1

    @property
    def tripped(self) -> bool:
        """Tell whether too many were lost."""
        return self.lost >= FEWEST_LOSSES and self.lost > self.max_failure_rate * self.done

    def describe(self) -> str:
        """Say what was seen, for the run's reason."""
        share = self.lost / max(1, self.done)
        return (
            f"{self.lost} of {self.done} messages were refused, failed or left in doubt: {share:.1%}, "
            f"and [guard] max_failure_rate is {self.max_failure_rate:.1%}; "
            f"most often: {self.errors.most_common(1)[0][0]}"
        )
