"""Signals that arrive while no run handles them: before it begins, and after it has ended."""

import atexit
import os
import signal
import time
from types import FrameType

from engine.errors import ExitCode

SAME_SECONDS = 0.3  # signals closer together count as one: `timeout` sends two, and keys bounce
# The parent at the start, read before anything that takes time: a process whose parent ends gets another parent.
STARTED_BY = os.getppid()
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal arrived before the command had begun to send."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")


class Interruption:
    """Handles a signal: ends the command with exit code 75, or with the work's own code once the work is done.

    Attributes:
        code: the exit code of the work; None while nothing has begun, and a signal raises.
    """

    def __init__(self) -> None:
        self.code: ExitCode | None = None
        self._first: float | None = None

    def install(self) -> None:
        """Handle the signals, except a hang-up that `nohup` ignores."""
        for number in NUMBERS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            signal.signal(number, self._handle)
        atexit.register(
            _ignore
        )  # at exit, Python would restore the default handler, which ends the process with another code

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
            if self.code is None:
                raise Interrupted(number)
        elif now - self._first > SAME_SECONDS:  # safe at any point: what was sent is in the ledger
            os._exit(ExitCode.PAUSED if self.code is None else self.code)


def _ignore() -> None:
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)


INTERRUPTION = Interruption()
