"""Unsubscribe tokens."""

import re

import pytest

from engine.campaign.unsubscribe import TokenSigner
from engine.errors import ConfigurationError

OLD, NEW = b"an old key of 24 bytes..", b"a new key of 24 bytes..."


def test_a_token_is_safe_in_a_link_and_names_address_and_topic() -> None:
    signer = TokenSigner([NEW])
    token = signer.sign("ann@example.com", "newsletter")
    assert re.fullmatch(r"1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{24}", token)
    assert signer.verify(token) == ("ann@example.com", "newsletter")


def test_after_a_key_change_old_links_still_work_and_new_links_use_the_new_key() -> None:
    rotated = TokenSigner([NEW, OLD])
    assert rotated.verify(TokenSigner([OLD]).sign("a@b.example", "t")) == ("a@b.example", "t")
    assert TokenSigner([NEW]).verify(rotated.sign("a@b.example", "t")) == ("a@b.example", "t")
    assert TokenSigner([OLD]).verify(rotated.sign("a@b.example", "t")) is None


@pytest.mark.parametrize("token", ["", ".", "..", "1", "1.YQ.", "ü.ü.ü", "1.YQ.AAAAAAAAAAAAAAAAAAAAAAAA", "\ud800"])
def test_what_is_no_token_is_nobody(token: str) -> None:
    assert TokenSigner([NEW]).verify(token) is None


@pytest.mark.parametrize("keys", [[], [b"short"], [NEW, b""]])
def test_missing_and_short_keys_are_refused(keys: list[bytes]) -> None:
    with pytest.raises(ConfigurationError, match="openssl rand -hex 32"):
        TokenSigner(keys)
