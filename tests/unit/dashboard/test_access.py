"""Tokens, attempts and sessions: the clock is a parameter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dashboard.access import SESSION_SECONDS, Sessions, TokenCheck, check_reach
from engine.dashboard.application import own_path
from engine.errors import ConfigurationError

TOKEN = "0123456789abcdef"


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_five_wrong_tokens_make_a_client_wait_and_no_other() -> None:
    time = Time()
    check = TokenCheck(TOKEN, time)
    for _ in range(5):
        assert check.find_wait("a") == 0
        assert not check.is_right("a", "wrong")
    assert 0 < check.find_wait("a") <= 12
    assert check.find_wait("b") == 0
    time.now += 12
    assert check.find_wait("a") == 0
    assert not check.is_right("a", "wrong")
    assert check.find_wait("a") > 0
    time.now += 12
    assert check.is_right("a", TOKEN)
    assert check.find_wait("a") == 0


@given(st.integers(1, 2000))
def test_attempts_of_a_day_are_bounded_whatever_their_times(seed: int) -> None:
    """A client gets five attempts and one every 12 seconds: 305 in an hour, however it spreads them."""
    time = Time()
    check, tried = TokenCheck(TOKEN, time), 0
    for _ in range(3600 // seed + 1):
        while check.find_wait("a") == 0:
            check.is_right("a", "wrong")
            tried += 1
        time.now += seed
    assert tried <= 5 + (3600 + seed) / 12 + 1


def test_clients_are_forgotten_so_that_memory_is_bounded() -> None:
    check = TokenCheck(TOKEN, Time())
    for number in range(3000):
        check.is_right(str(number), "wrong")
    assert check.clients <= 1000


def test_a_session_ends_after_its_time_and_at_the_logout() -> None:
    time = Time()
    sessions = Sessions(time)
    first, second = sessions.begin(), sessions.begin()
    assert sessions.find(first.id) == first
    sessions.end(first.id)
    assert sessions.find(first.id) is None
    time.now += SESSION_SECONDS
    assert sessions.find(second.id) is None
    assert first.form_token != second.form_token
    assert not first.is_form_of(second.form_token)


@pytest.mark.parametrize(
    ("host", "token", "names"),
    [("::", "", ()), ("192.0.2.1", "", ()), ("127.0.0.1", "", ("m.example",)), ("127.0.0.1", "short", ())],
)
def test_a_dashboard_that_others_reach_needs_a_token(host: str, token: str, names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="token"):
        check_reach(host, token, names)


@pytest.mark.parametrize(("host", "token"), [("127.0.0.1", ""), ("::1", ""), ("localhost", ""), ("192.0.2.1", TOKEN)])
def test_loopback_needs_no_token_and_a_token_opens_every_address(host: str, token: str) -> None:
    check_reach(host, token, ("m.example",) if token else ())


@given(st.text())
def test_a_login_leads_only_to_paths_of_this_server(target: str) -> None:
    path = own_path(target)
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))
    assert "\n" not in path
