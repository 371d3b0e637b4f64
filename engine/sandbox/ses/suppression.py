"""The account-level suppression list.

Source: SES developer guide, "Using the account-level suppression list": the API compares addresses with their case,
sending compares them without.
"""

from collections import Counter
from collections.abc import Container, Iterable
from datetime import datetime
from typing import NamedTuple

from engine.sandbox.http.replies import bad_request, not_found

REASONS = ("BOUNCE", "COMPLAINT")


class Suppressed(NamedTuple):
    """One entry of the list."""

    address: str
    reason: str
    updated_at: datetime


class SandboxSuppressionList:
    """Suppressed addresses, as they were added and in lower case."""

    def __init__(self) -> None:
        self._entries: dict[str, Suppressed] = {}
        self._lowered: Counter[str] = Counter()
        self._lowered_reasons: dict[str, str] = {}

    def reasons_of(self, addresses: Iterable[str]) -> dict[str, str]:
        """Return those of some addresses that are on the list, and why; compared without case."""
        if not self._entries:
            return {}
        known = self._lowered_reasons
        return {address: known[address.lower()] for address in addresses if address.lower() in known}

    @property
    def lowered(self) -> Container[str]:
        """The addresses in lower case, for sending."""
        return self._lowered

    def put(self, address: str, reason: str, *, at: datetime) -> None:
        """Add an address, or overwrite its entry."""
        if reason not in REASONS:
            raise bad_request(f"Reason must be one of {', '.join(REASONS)}.")
        if address not in self._entries:
            self._lowered[address.lower()] += 1
        self._lowered_reasons[address.lower()] = reason
        self._entries[address] = Suppressed(address, reason, at)

    def get(self, address: str) -> Suppressed:
        """Return the entry of exactly this address."""
        if address not in self._entries:
            raise not_found(f"Email address {address} does not exist on your suppression list.")
        return self._entries[address]

    def delete(self, address: str) -> None:
        """Remove the entry of exactly this address."""
        self.get(address)
        del self._entries[address]
        self._lowered[address.lower()] -= 1
        if not self._lowered[address.lower()]:
            del self._lowered[address.lower()], self._lowered_reasons[address.lower()]

    def entries(self) -> list[Suppressed]:
        """Return all entries by address."""
        return sorted(self._entries.values())
