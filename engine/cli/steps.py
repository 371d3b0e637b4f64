"""Shows the steps of long work: a bar on a terminal, a JSON line every few seconds anywhere else."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.logs import get_logger
from engine.on_demand import OnDemand
from engine.progress import Step, listen
from engine.quantities import format_number
from engine.system.streams import is_terminal

LINE_SECONDS = 10.0
BAR_SECONDS = 0.25  # a step that is over sooner shows no bar
_make_bar = OnDemand("engine.cli.step_bar:make_step_bar")  # most commands end before it is shown
_FEWEST_SECONDS = 0.05  # shorter steps are summed up


class StepReporter:
    """Follows the steps of a command; the innermost one is shown.

    Each step's duration is logged at its end, and all durations at the command's end, at the level `debug`: `-v`
    shows them.
    """

    seconds = LINE_SECONDS

    def __init__(self) -> None:
        self._log: Any = get_logger()
        self._lock = threading.Lock()
        self._running: list[Step] = []
        self._durations: dict[str, float] = {}
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None
        self._began = time.monotonic()

    def begin(self, step: Step) -> None:
        """Show a step from now on."""
        with self._lock:
            self._durations.setdefault("starting", time.monotonic() - self._began)
            self._running.append(step)
            if self._ticker is None:
                self._ticker = threading.Thread(target=self._tick_until_ended, name="progress", daemon=True)
                self._ticker.start()

    def end(self, step: Step) -> None:
        """Log how long a step took."""
        seconds = step.seconds
        with self._lock:
            self._running.remove(step)
            if not self._running:
                self._durations[step.name] = self._durations.get(step.name, 0.0) + seconds
            self.hide()
        counts = {"done": step.done, "unit": step.unit} if step.unit else {}
        note = f"{step.name} took {format_number(round(seconds, 3))} s"
        self._log.debug("step.end", step=step.name, seconds=round(seconds, 3), **counts, note=note)

    def _log_durations(self) -> None:
        whole = time.monotonic() - self._began
        rest = whole - sum(self._durations.values())
        spent = {name: s for name, s in self._durations.items() if s >= _FEWEST_SECONDS} | {"everything else": rest}
        listed = ", ".join(f"{name} {format_number(round(seconds, 2))} s" for name, seconds in spent.items())
        steps = {name: round(seconds, 3) for name, seconds in self._durations.items()}
        note = f"the command took {format_number(round(whole, 2))} s: {listed}"
        self._log.debug("command.end", seconds=round(whole, 3), steps=steps, note=note)

    def close(self) -> None:
        """Stop showing; log how long each step took."""
        self._ended.set()
        if self._ticker is not None:
            self._ticker.join()
        with self._lock:
            self.hide()
        self._log_durations()

    def _tick_until_ended(self) -> None:
        while not self._ended.wait(self.seconds):
            self.tick()

    def tick(self) -> None:
        """Show the innermost step, unless it shows its own progress."""
        with self._lock:
            if self._running and self._running[-1].is_shown:
                self.show(self._running[-1])

    def show(self, step: Step) -> None:
        """Show how far a step is: in a log line."""
        counts = {"done": step.done, "total": step.total, "unit": step.unit} if step.unit else {}
        self._log.info("step.progress", step=step.name, seconds=round(step.seconds, 1), **counts)

    def hide(self) -> None:
        """Remove what is shown."""


class StepBar(StepReporter):
    """Shows the innermost step as a bar, which is removed when the step ends.

    Args:
        console: rich's; None for one on stderr.
    """

    seconds = BAR_SECONDS

    def __init__(self, console: Any = None) -> None:
        super().__init__()
        self._console = console
        self._bar: Any = None
        self._shown: Step | None = None

    def show(self, step: Step) -> None:
        """Draw the bar, or move it."""
        if step is not self._shown:
            self.hide()
            self._bar, self._shown = _make_bar(self._console), step
            self._bar.add_task(step.name, total=step.total, count="")
            self._bar.start()
        count = f"{step.done:,}" + (f" of {step.total:,}" if step.total is not None else "") + f" {step.unit}"
        self._bar.update(self._bar.task_ids[0], completed=step.done, count=count if step.unit else "")
        self._bar.refresh()

    def hide(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._shown = None


@contextmanager
def report_steps() -> Iterator[None]:
    """Show the steps of a command."""
    reporter = StepBar() if is_terminal(sys.stderr) else StepReporter()
    with listen(reporter):
        try:
            yield
        finally:
            reporter.close()
