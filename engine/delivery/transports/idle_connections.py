"""The kept connections that carry no call, and when one of them may carry the next.

A server that closes a connection after its answer, or that answers twice, shows it soon: a connection is used again
only after it was quiet for a moment.
"""

from collections import deque
from time import monotonic

from msgspec import Struct, field

from engine.delivery.transports.connection import Connection

IDLE_SECONDS = 12.0  # AWS closes idle connections after 20 s; using one in that instant would leave a call in doubt
QUIET_SECONDS = 0.05  # a server that closes after its answer, or answers twice, shows it by then
SHORT_SECONDS = 0.25  # a server that closes a connection sooner is given twice the time to show it
LEARNED_SECONDS = 60.0  # how long it is remembered after how much idling the server closed a connection


class IdleConnections(Struct):
    """Connections to one server. Of those that were quiet for long enough the one used last is used first.

    So as few as possible are in use, and the others are closed when they have been idle for too long.

    Attributes:
        quiet_seconds: how long one must have been idle before it is used again.
    """

    quiet_seconds: float = QUIET_SECONDS
    _young: deque[Connection] = field(default_factory=deque)  # both in the order in which they became idle
    _quiet: deque[Connection] = field(default_factory=deque)
    _learned_quiet_seconds: float = 0.0  # this and the next are adjusted to the server
    _longest_seconds: float = field(default_factory=lambda: IDLE_SECONDS)
    _learned_at: float = float("inf")

    @property
    def _needed_seconds(self) -> float:
        return max(self.quiet_seconds, self._learned_quiet_seconds)

    def __len__(self) -> int:
        return len(self._young) + len(self._quiet)

    @property
    def is_ready(self) -> bool:
        """Return whether `take` is likely to find one that was quiet for long enough."""
        if self._quiet or not self._young:
            return bool(self._quiet)
        return self._young[0].idle_since <= monotonic() - self._needed_seconds

    def add(self, connection: Connection) -> None:
        """Keep a connection that has just become idle."""
        connection.idle_since = monotonic()
        self._young.append(connection)

    def take(self, *, young: bool) -> Connection | None:
        """Return a connection that may be used now; None where there is none.

        Args:
            young: it may be one that was not quiet for long enough.
        """
        now = monotonic()
        self._sort(now)
        while self._quiet or (young and self._young):
            connection = self._quiet.pop() if self._quiet else self._young.popleft()
            if not self._is_stale(connection, now) and connection.is_usable:
                return connection
            connection.close()
        return None

    def remove(self, connection: Connection) -> None:
        """Forget a connection, if it is here."""
        for some in (self._young, self._quiet):
            if connection in some:
                some.remove(connection)

    def close_stale(self) -> None:
        """Close those that were idle for so long that the server may close them; `take` closes those that are old."""
        now = monotonic()
        self._sort(now)
        while self._quiet and self._is_stale(self._quiet[0], now):
            self._quiet.popleft().close()

    def take_all(self) -> list[Connection]:
        """Return all, and keep none."""
        all_of_them = [*self._quiet, *self._young]
        self._quiet.clear()
        self._young.clear()
        return all_of_them

    def note_closed(self, idle_seconds: float) -> None:
        """Record after what idle time the server closed a connection: no other one is used at about that age."""
        self._learned_at = monotonic()
        if idle_seconds < SHORT_SECONDS:
            self._learned_quiet_seconds = max(self._learned_quiet_seconds, 2 * idle_seconds)
            self._young.extendleft(reversed(self._quiet))
            self._quiet.clear()
        else:
            self._longest_seconds = min(self._longest_seconds, idle_seconds / 2)

    def _sort(self, now: float) -> None:
        """Find those that have been quiet for long enough."""
        if now - self._learned_at > LEARNED_SECONDS:
            self._learned_at = float("inf")
            self._learned_quiet_seconds, self._longest_seconds = 0.0, IDLE_SECONDS
        quiet_since = now - self._needed_seconds
        while self._young and self._young[0].idle_since <= quiet_since:
            self._quiet.append(self._young.popleft())

    def _is_stale(self, connection: Connection, now: float) -> bool:
        if now >= connection.expires_at:
            return True
        stated = connection.idle_seconds
        longest = self._longest_seconds if stated is None else min(self._longest_seconds, stated / 2)
        return now - connection.idle_since > longest
