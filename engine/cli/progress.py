"""Progress of a launch: a bar on a terminal, JSON lines in a pod; on stderr."""

import sys
import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from engine.cli.output import format_outcomes
from engine.ledger.journal import Outcome, Result
from engine.report.accounts import Accounts
from engine.system.streams import is_terminal

LINE_SECONDS = 5.0
BAR_SECONDS = 0.1  # redrawing the bar costs more than sending a message


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

    def count(self, result: Result) -> None:
        """Count one result."""
        self.outcomes[result.outcome] += 1

    def add(self, outcomes: Mapping[Outcome, int]) -> None:
        """Count the results of another process."""
        self.outcomes.update(outcomes)

    @property
    def done(self) -> int:
        """Count the recipients that have their outcome."""
        return self.outcomes.total()


class Lines(Progress):
    """A JSON line every few seconds."""

    def __init__(self, run: str) -> None:
        super().__init__(run)
        self._log: Any = structlog.get_logger().bind(run=run)
        self._next = 0.0

    def begin(self, accounts: Accounts) -> None:
        """Log that sending begins."""
        super().begin(accounts)
        self._next = time.monotonic() + LINE_SECONDS
        self._log_counts("run.begin")

    def count(self, result: Result) -> None:
        """Count, and log the progress, at most every few seconds."""
        super().count(result)
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


class Bar(Progress):
    """A bar with rate and time left."""

    def __init__(self, run: str) -> None:
        super().__init__(run)
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("planning", total=None, rate="", losses="", start=False)
        self._shown = False
        self._next = 0.0

    def begin(self, accounts: Accounts) -> None:
        """Show the bar with the counts of earlier launches."""
        super().begin(accounts)
        self._bar.start()
        self._shown = True
        self._bar.start_task(self._task)
        self._bar.update(self._task, description=self.run, total=self.accepted, completed=self.done)

    def count(self, result: Result) -> None:
        """Move the bar, at most every tenth of a second."""
        super().count(result)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + BAR_SECONDS
            self._move()

    def _move(self) -> None:
        speed = self._bar.tasks[0].speed
        losses = format_outcomes(self.outcomes, only_losses=True)
        self._bar.update(self._task, completed=self.done, rate=f"{speed:,.0f}/s" if speed else "", losses=losses)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep the bar on the screen as it is."""
        if self._shown:
            self._move()
            self._bar.stop()


def make_progress(run: str) -> Progress:
    """Choose how to show progress."""
    return Bar(run) if is_terminal(sys.stderr) else Lines(run)
