"""Reads the samples of a command; the ledger at most once in a few seconds, however many ask."""

import time
from collections.abc import Callable, Iterator
from threading import Lock

from engine.clock import Clock
from engine.errors import MailrunError
from engine.ledger.database import Ledger
from engine.ledger.figures.campaigns import LedgerFigures, read_figures
from engine.logs import get_logger
from engine.metrics.meter import Meter
from engine.metrics.samples import MonitoredCommand, Sample, sample_command, sample_ledger

KEPT_SECONDS = 5.0  # how long the ledger's figures are used again

log = get_logger()


class SampleReader:
    """Reads the samples of one command, from any thread.

    Args:
        command: which one.
        meter: what it measures.
        ledger: has the runs.
        clock: the wall clock.
        monotonic: monotonic time.
    """

    def __init__(
        self,
        command: MonitoredCommand,
        meter: Meter,
        ledger: Ledger,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.command = command
        self.meter = meter
        self._ledger = ledger
        self._clock = clock
        self._monotonic = monotonic
        self._lock = Lock()
        self._read_at = float("-inf")
        self._figures: LedgerFigures | None = None
        self._ended_at: float | None = None

    def end(self) -> None:
        """Note that the command ends: the ledger is read again, whenever it was read before."""
        self._ended_at = self._clock.now().timestamp()
        self._read_at = float("-inf")

    def read(self) -> list[Sample]:
        """Return all samples; those of the ledger are missing while it cannot be read."""
        figures = self._read_figures()
        # A worker may add its pulse meanwhile, in another thread: Python's `list` and `sum` see the old or the new one.
        return list(self._sample(figures))

    def _sample(self, figures: LedgerFigures | None) -> Iterator[Sample]:
        yield from sample_command(self.command, self.meter, ended_at=self._ended_at)
        yield from sample_ledger(figures, self.command, self.meter)

    def _read_figures(self) -> LedgerFigures | None:
        with self._lock:
            if self._monotonic() - self._read_at >= KEPT_SECONDS:
                try:
                    self._figures = read_figures(self._ledger, self._clock.now())
                except MailrunError as error:
                    log.warning("metrics.ledger", what=error.what, note="the metrics have no figures of the ledger now")
                    self._figures = None
                self._read_at = self._monotonic()
            return self._figures
