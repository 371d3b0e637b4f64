"""Progress of a launch: a bar on a terminal, JSON lines in a pod; on stderr."""

import sys
import time
from collections import Counter
from types import TracebackType
from typing import Any, Self, cast

from engine.ledger.journal import Outcome
from engine.logs import get_logger
from engine.on_demand import OnDemand
from engine.report.accounts import Accounts
from engine.system.streams import is_terminal

LINE_SECONDS = 5.0
_make_bar = OnDemand("engine.cli.progress_bar:Bar")  # rich is slow to import


class Progress:
    """Counts results and shows nothing: the base of both ways to show them."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.accepted = 0
        self.outcomes: Counter[Outcome] = Counter()

    def __enter__(self) -> Self:
        """Start to show progress."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show the last state."""

    def begin(self, accounts: Accounts) -> None:
        """Start from the counts of earlier launches."""
        self.accepted = accounts.accepted
        self.outcomes.update(accounts.outcomes)

    def count(self, outcome: Outcome, recipients: int) -> None:
        """Count recipients that got an outcome."""
        self.outcomes[outcome] += recipients

    @property
    def done(self) -> int:
        """Count the recipients that have their outcome."""
        return self.outcomes.total()


class Lines(Progress):
    """A JSON line every few seconds."""

    def __init__(self, run: str) -> None:
        super().__init__(run)
        self._log: Any = get_logger().bind(run=run)
        self._next = 0.0

    def begin(self, accounts: Accounts) -> None:
        """Log that sending begins."""
        super().begin(accounts)
        self._next = time.monotonic() + LINE_SECONDS
        self._log_counts("run.begin")

    def count(self, outcome: Outcome, recipients: int) -> None:
        """Count, and log the progress, at most every few seconds."""
        super().count(outcome, recipients)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_SECONDS
            self._log_counts("run.progress")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Log the last state."""
        if self.accepted:
            self._log_counts("run.end")

    def _log_counts(self, event: str) -> None:
        counts = {str(outcome): count for outcome, count in self.outcomes.items() if count}
        self._log.info(event, accepted=self.accepted, done=self.done, **counts)


def make_progress(run: str) -> Progress:
    """Choose how to show progress."""
    return cast("Progress", _make_bar(run)) if is_terminal(sys.stderr) else Lines(run)
