"""Signals that arrive while no run handles them: before it begins, and after it has ended."""

import atexit
import os
import signal
import time
from types import FrameType

from engine.errors import ExitCode

SAME_SECONDS = 0.3  # signals closer together are one: `timeout` sends two, and keys bounce
# As this process began, read before anything takes time: a process whose parent has ended has another one.
STARTED_BY = os.getppid()
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal arrived before the command had begun to send."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")


class Interruption:
    """What a signal does: it ends the command with exit code 75; once the work was done, with the work's own code.

    Attributes:
        code: the exit code of the work; None while nothing has begun, and a signal raises.
    """

    def __init__(self) -> None:
        self.code: ExitCode | None = None
        self._first: float | None = None

    def install(self) -> None:
        """Handle the signals, but for a hang-up that `nohup` has switched off."""
        for number in NUMBERS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            signal.signal(number, self._handle)
        atexit.register(_ignore)  # while Python ends it would restore what ends the process with another code

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
            if self.code is None:
                raise Interrupted(number)
        elif now - self._first > SAME_SECONDS:  # wherever it hangs: what was sent is in the ledger
            os._exit(ExitCode.PAUSED if self.code is None else self.code)


def _ignore() -> None:
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)


INTERRUPTION = Interruption()
