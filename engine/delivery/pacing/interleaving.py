"""Which recipient is next: in the order of open leases, except where a domain's cap or a window makes one wait.

Pure; the caller passes the time. A row whose domain is at its cap is held until the cap allows it. A row whose window
is closed is put off: its lease is released when its other rows are done, and taken again when the window opens.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from typing import Generic, Protocol, TypeVar

from msgspec import Struct, field

from engine.addresses.mailbox import domain_of

DOMAIN_BURST = 1.0  # recipients: a capped domain gets one after the other


class Addressed(Protocol):
    """The fields of a recipient that interleaving needs."""

    @property
    def address(self) -> str:
        """Where it goes."""


R = TypeVar("R", bound=Addressed)
L = TypeVar("L")


class Windows(Protocol):
    """The sending windows of recipients in their own time zones."""

    def seconds_closed(self, recipient: object) -> float:
        """Return how long a recipient's window stays closed; 0.0 while it is open."""


class DomainCap(Struct):
    """One receiver domain's token bucket."""

    rate: float
    tokens: float = DOMAIN_BURST
    at: float = float("-inf")

    def take(self, now: float) -> float:
        """Take a token; else return the seconds until there is one."""
        if self.at != float("-inf"):
            self.tokens = min(DOMAIN_BURST, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens >= 1.0 - 1e-9:
            self.tokens -= 1.0
            return 0.0
        return (1.0 - self.tokens) / self.rate


class Interleaving(Struct, Generic[L, R]):
    """The order of recipients.

    Attributes:
        caps: domain -> its cap; domains without one are not limited.
        windows: None where every recipient may be sent to at any time.
        put_off: lease -> monotonic time at which the first of its closed windows opens; the caller removes leases.
    """

    caps: Mapping[str, DomainCap] = field(default_factory=dict)
    windows: Windows | None = None
    put_off: dict[L, float] = field(default_factory=dict)
    _sources: deque[tuple[L, Iterator[R]]] = field(default_factory=deque)
    _held: dict[str, deque[tuple[L, R]]] = field(default_factory=dict)
    _ready: list[tuple[float, str]] = field(default_factory=list)
    _pending: dict[L, int] = field(default_factory=dict)

    def feed(self, lease: L, recipients: Iterator[R]) -> None:
        """Add a lease's recipients behind all others."""
        self._sources.append((lease, recipients))
        self._pending[lease] = 0

    def is_waiting(self, lease: L) -> bool:
        """Return whether rows of a lease are still to come."""
        return lease in self._pending

    def next(self, now: float) -> tuple[L, R] | None:
        """Return the next recipient; None where none may be sent to now."""
        while self._ready and self._ready[0][0] <= now:
            _, domain = heappop(self._ready)
            if found := self._take_held(domain, now):
                return found
        while self._sources:
            lease, recipients = self._sources[0]
            for recipient in recipients:
                if self._may_go(lease, recipient, now):
                    return lease, recipient
            self._sources.popleft()
            self._forget_if_done(lease)
        return None

    def seconds_to_next(self, now: float) -> float | None:
        """Return how long until a held recipient may be sent to; None where none is held."""
        return max(0.0, self._ready[0][0] - now) if self._ready else None

    def drop(self, lease: L) -> None:
        """Remove the remaining rows of a lease: they stay unsent."""
        self._sources = deque(source for source in self._sources if source[0] != lease)
        for rows in self._held.values():
            kept = [row for row in rows if row[0] != lease]
            rows.clear()
            rows.extend(kept)
        self._pending.pop(lease, None)

    def _may_go(self, lease: L, recipient: R, now: float) -> bool:
        if self.windows is not None and (closed := self.windows.seconds_closed(recipient)) > 0.0:
            self.put_off[lease] = min(now + closed, self.put_off.get(lease, float("inf")))
            return False
        if not self.caps:
            return True
        domain = domain_of(recipient.address)
        cap = self.caps.get(domain)
        if cap is None:
            return True
        held = self._held.setdefault(domain, deque())
        seconds = cap.take(now) if not held else 0.0
        if not held and seconds == 0.0:
            return True
        if not held:
            heappush(self._ready, (now + seconds, domain))
        held.append((lease, recipient))
        self._pending[lease] += 1
        return False

    def _take_held(self, domain: str, now: float) -> tuple[L, R] | None:
        held, cap = self._held[domain], self.caps[domain]
        if not held:
            return None
        seconds = cap.take(now)
        if seconds > 0.0:
            heappush(self._ready, (now + seconds, domain))
            return None
        lease, recipient = held.popleft()
        self._pending[lease] -= 1
        if held:
            heappush(self._ready, (now + 1.0 / cap.rate, domain))
        self._forget_if_done(lease)
        return lease, recipient

    def _forget_if_done(self, lease: L) -> None:
        if self._pending.get(lease) == 0 and all(source[0] != lease for source in self._sources):
            del self._pending[lease]
