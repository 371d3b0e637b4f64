"""Who may use the dashboard: a token, sessions of browsers, and a bound of attempts."""

import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable

from msgspec import Struct

from engine.errors import ConfigurationError
from engine.http.guard import is_loopback_name

SESSION_SECONDS = 12 * 3600.0
_MOST_SESSIONS = 1000  # the oldest is forgotten for a new one
_TOKEN = re.compile(r"[!-~]{16,256}")  # too long to guess, and safe in a header
_ATTEMPTS = 5  # wrong tokens of one client in a row
_ATTEMPT_SECONDS = 12.0  # after them, one more attempt for each
_MOST_CLIENTS = 1000
Monotonic = Callable[[], float]


class BrowserSession(Struct, frozen=True):
    """A session of a browser.

    Attributes:
        id: random; the cookie.
        form_token: random; every form of the session's pages has it, so that no other page can send one.
        ends_at: monotonic time.
    """

    id: str
    form_token: str
    ends_at: float

    def is_form_of(self, given: str) -> bool:
        """Return whether a form is of this session; compares in constant time."""
        return _equals(given, self.form_token)


class Sessions:
    """The sessions of this process; they end with it.

    Args:
        monotonic: returns the monotonic time in seconds.
    """

    def __init__(self, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        self._known: OrderedDict[str, BrowserSession] = OrderedDict()

    def begin(self) -> BrowserSession:
        """Begin a session."""
        ends_at = self._monotonic() + SESSION_SECONDS
        session = BrowserSession(secrets.token_urlsafe(32), secrets.token_urlsafe(32), ends_at)
        self._known[session.id] = session
        while len(self._known) > _MOST_SESSIONS:
            self._known.popitem(last=False)
        return session

    def find(self, session_id: str) -> BrowserSession | None:
        """Return a session that has not ended; None for any other id."""
        session = self._known.get(session_id)
        return session if session is not None and session.ends_at > self._monotonic() else None

    def end(self, session_id: str) -> None:
        """End a session."""
        self._known.pop(session_id, None)


class TokenCheck:
    """Compares tokens that clients give; a client that gave several wrong ones has to wait.

    Args:
        token: the right one; empty where none is needed.
        monotonic: returns the monotonic time in seconds.
    """

    def __init__(self, token: str, monotonic: Monotonic) -> None:
        self._token = token
        self._monotonic = monotonic
        self._wrong: OrderedDict[str, tuple[float, float]] = OrderedDict()

    @property
    def is_needed(self) -> bool:
        """Whether a client needs a token."""
        return bool(self._token)

    @property
    def clients(self) -> int:
        """Number of clients with wrong tokens that are remembered."""
        return len(self._wrong)

    def find_wait(self, client: str) -> float:
        """Return for how many seconds a client has to wait before its next attempt; 0 if it may try."""
        wrong, at = self._wrong.get(client, (0.0, 0.0))
        left = wrong - (self._monotonic() - at) / _ATTEMPT_SECONDS
        return max(0.0, (left - _ATTEMPTS + 1) * _ATTEMPT_SECONDS) if left > _ATTEMPTS - 1 else 0.0

    def is_right(self, client: str, given: str) -> bool:
        """Compare a token in constant time, and count a wrong one.

        Args:
            client: its address.
            given: its token.
        """
        if _equals(given, self._token):
            self._wrong.pop(client, None)
            return True
        now = self._monotonic()
        wrong, at = self._wrong.pop(client, (0.0, now))
        self._wrong[client] = (max(0.0, wrong - (now - at) / _ATTEMPT_SECONDS) + 1, now)
        while len(self._wrong) > _MOST_CLIENTS:
            self._wrong.popitem(last=False)
        return False


def check_reach(host: str, token: str, allow_hosts: tuple[str, ...]) -> None:
    """Check that a server that others can reach has a token, and that it cannot be guessed.

    Args:
        host: to listen on.
        token: the token; empty for none.
        allow_hosts: names of a proxy.

    Raises:
        ConfigurationError: it has none, or one that is too short.
    """
    if token and _TOKEN.fullmatch(token) is None:
        raise ConfigurationError(
            "the dashboard's token is too short or has characters that a header cannot have",
            where="--token, MAILRUN_DASHBOARD_TOKEN or [dashboard] token",
            remedy="use 16 to 256 letters, digits and signs of ASCII, for instance from: openssl rand -hex 32",
        )
    if not token and (allow_hosts or not is_loopback_name(host)):
        what = "behind a proxy" if allow_hosts and is_loopback_name(host) else f"on {host}"
        raise ConfigurationError(
            f"a dashboard {what} needs a token: others can reach it",
            where="--bind" if not is_loopback_name(host) else "--allow-host",
            remedy="set MAILRUN_DASHBOARD_TOKEN to a secret, for instance from: openssl rand -hex 32",
        )


def _equals(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())
