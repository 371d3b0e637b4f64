"""Progress of a launch on a terminal: a bar, drawn by rich."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from engine.cli.progress import Progress
from engine.cli.run_output import format_outcomes
from engine.ledger.journal import Outcome
from engine.report.accounts import Accounts

BAR_SECONDS = 0.1  # redrawing the bar costs more than sending a message


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

    def count(self, outcome: Outcome, recipients: int) -> None:
        """Move the bar, at most every tenth of a second."""
        super().count(outcome, recipients)
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
