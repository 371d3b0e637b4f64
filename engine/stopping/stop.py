"""The stop: whether a worker has to stop, and why."""

import asyncio
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import force_setattr

from engine.masking import mask_text


class StopCause(StrEnum):
    """Why a worker stops before its run is finished."""

    SIGNAL = "signal"  # SIGTERM, SIGINT, SIGHUP, or the parent has ended
    PAUSED = "paused"  # the account or a person paused the run; launching again resumes
    GUARDED = "guarded"  # the guard paused the run: a person must resume it first
    OVER = "over"  # the run was cancelled, or others finished it
    ERROR = "error"  # ledger, store or a bug: the exception is kept


class StopReason(Struct, frozen=True):
    """A cause, in words for people, with the exception where there is one.

    The text becomes the run's reason in the ledger and appears in logs, so addresses and secrets in it are masked.
    """

    cause: StopCause
    text: str
    remedy: str = "launch again to resume"
    error: BaseException | None = None

    def __post_init__(self) -> None:
        """Mask addresses and secrets."""
        force_setattr(self, "text", mask_text(self.text))
        force_setattr(self, "remedy", mask_text(self.remedy))

    def to_sentences(self) -> str:
        """Write what happened and what to do, as one text.

        >>> StopReason(StopCause.PAUSED, "paused").to_sentences()
        'paused; launch again to resume'
        """
        return f"{self.text}{'' if self.text.endswith('.') else ';'} {self.remedy}"


class Stop:
    """Set once; the first reason stays.

    Attributes:
        reason: why; None while it is not requested.
        is_sending: there may be calls in flight.
        is_urgent: a signal came, after which a scheduler soon kills the process, or something failed.
        at_once: a second signal came: calls in flight are not waited for.
    """

    def __init__(self) -> None:
        self.reason: StopReason | None = None
        self.is_sending = False
        self.is_urgent = False
        self.at_once = False
        self._event = asyncio.Event()

    def request(self, reason: StopReason) -> None:
        """Request that the worker takes no more work and ends when its calls in flight have ended."""
        self.is_urgent = self.is_urgent or reason.cause in (StopCause.SIGNAL, StopCause.ERROR)
        if self.reason is None:
            self.reason = reason
            self._event.set()

    @property
    def requested(self) -> bool:
        """Return whether to stop."""
        return self.reason is not None

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is requested, or for some seconds; True where it is requested."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        return True
