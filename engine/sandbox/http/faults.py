"""Faults on demand: what the sandbox does wrong, to which sends, and how often."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

# What happens to a call before anything of it is accepted.
BEFORE = (
    "throttle", "internal_error", "bad_gateway", "unavailable", "gateway_timeout", "drop_before", "pause_account",
    "suspend_account", "reject",
)  # fmt: skip
# What happens to a call after all of it was accepted and recorded.
AFTER = (
    "internal_error_after", "bad_gateway_after", "unavailable_after", "gateway_timeout_after", "drop_after",
    "reset_after", "cut_200", "empty_200", "html_200", "no_answer",
)  # fmt: skip
# What a call other than a send is answered.
OF_CALLS = ("deny_call", "throttle_call", "fail_call")
KINDS = BEFORE + AFTER + OF_CALLS
_MEMBERS = ("kind", "count", "probability", "after", "match")


class SandboxFault(Struct):
    """One fault and the sends that it affects.

    Attributes:
        kind: one of `KINDS`.
        count: how many sends it still affects; None for every one.
        probability: how likely it is for each of these sends.
        after: how many sends it still skips first.
        match: only sends with this text in a recipient's address, or calls with it in method and path, such as
            `PUT /v2/email/identities/`; empty for all.
    """

    kind: str
    count: int | None = 1
    probability: float = 1.0
    after: int = 0
    match: str = ""

    @classmethod
    def from_document(cls, document: Any) -> "SandboxFault":
        """Return a fault from a JSON document.

        Raises:
            ValueError: the document is not a valid fault; the text names the reason.
        """
        if not isinstance(document, dict) or document.get("kind") not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")
        unknown = sorted(set(document) - set(_MEMBERS))
        if unknown:
            raise ValueError(f"{unknown[0]} is not a member of a fault; use {', '.join(_MEMBERS)}")
        fault = cls(**document)
        if fault.count is not None and not _is_count(fault.count, 1):
            raise ValueError("count must be an integer from 1, or null for every send")
        if not _is_count(fault.after, 0):
            raise ValueError("after must be an integer from 0")
        if isinstance(fault.probability, bool) or not isinstance(fault.probability, int | float):
            raise ValueError("probability must be a number")  # noqa: TRY004 - one kind of error for a bad document
        if not 0 < fault.probability <= 1:
            raise ValueError("probability must be above 0 and at most 1")
        if not isinstance(fault.match, str):
            raise ValueError("match must be a string")  # noqa: TRY004 - as above
        return fault

    def document(self) -> dict[str, Any]:
        """Return the fault as a JSON document."""
        return {name: getattr(self, name) for name in _MEMBERS}


class SandboxFaults:
    """The faults that are waiting for their sends, in the order in which they were queued.

    Args:
        seed: of the random draws.
    """

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - dice of a test server
        self._queue: list[SandboxFault] = []

    def add(self, fault: SandboxFault) -> None:
        """Queue a fault."""
        self._queue.append(fault)

    def clear(self) -> None:
        """Remove all faults."""
        self._queue.clear()

    def documents(self) -> list[dict[str, Any]]:
        """Return what is queued."""
        return [fault.document() for fault in self._queue]

    def take(self, kinds: Sequence[str], recipients: Iterable[str]) -> SandboxFault | None:
        """Return the first fault of these kinds that applies to a send, and count it.

        Args:
            kinds: `BEFORE`, `AFTER` or `OF_CALLS`.
            recipients: all addresses of a send; method and path of another call.
        """
        if not self._queue:
            return None
        addresses = list(recipients)
        return next(
            (fault for fault in list(self._queue) if fault.kind in kinds and self._strikes(fault, addresses)), None
        )

    def _strikes(self, fault: SandboxFault, addresses: list[str]) -> bool:
        if fault.match and not any(fault.match in address for address in addresses):
            return False
        if fault.after:
            fault.after -= 1
            return False
        if fault.probability < 1 and self._dice.random() >= fault.probability:
            return False
        if fault.count is not None:
            fault.count -= 1
            if not fault.count:
                self._queue.remove(fault)
        return True


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
