"""Unsubscribe tokens, and the unsubscribe links that messages offer."""

import re

import pytest

from engine.campaign.unsubscribe_tokens import TOKEN_PATTERN, TokenContent, TokenRow, TokenSigner
from engine.errors import ConfigurationError

OLD, NEW = b"an old key of 24 bytes..", b"a new key of 24 bytes..."


# Taken from version 1's own code, which signed them with this key.
OF_VERSION_1 = {
    ("ann@example.com", "newsletter"): "1.YW5uQGV4YW1wbGUuY29tAG5ld3NsZXR0ZXI.C-TWgXQt5V6ZWuvxKRraGZ7z",
    ("bjørn@bücher.example", "Grüße"): "1.YmrDuHJuQGLDvGNoZXIuZXhhbXBsZQBHcsO8w59l.GIw28fidVygzJrRlXYidcm8T",
}
KEY_OF_VERSION_1 = b"a signing key of the earlier form"


# Made with the same key by the code that encoded both parts of a token by themselves; of every length modulo 3.
OF_VERSION_2 = {
    ("a@b.example", "t"): "2.bPOIpW6nI64OhicinQ.snhIXqWuJWz0_pzCMfbwPA",
    ("ab@b.example", "t"): "2.Tsp64pyUSNshSkuDY1k.9ZjeiHMrFAknI99D9xuPFw",
    ("abc@b.example", "t"): "2.KIh2LsFNBnWQiloQYIoW.nIzF6lCmFGLc9ym7LSdloQ",
    ("ann@example.com", "newsletter"): "2.7A24RSsLAqPUJfzMD5DxtTHVtBQimwBuijw.6Y2rDNRnZaTg-fUaZbUlGg",
    ("bjørn@bücher.example", "Grüße"): "2.GPJ8W10fmrFmtBeP1HoJqbhSpy5AMfhO0VgGiX1q.OTXNrJvkB-okU6YrOOu5eg",
}


@pytest.mark.parametrize(("whom", "token"), OF_VERSION_2.items())
def test_token_of_an_address_and_topic_is_always_the_same(whom: tuple[str, str], token: str) -> None:
    assert TokenSigner([KEY_OF_VERSION_1]).sign(*whom) == token


def test_a_token_is_safe_in_a_link_and_names_address_and_topic() -> None:
    signer = TokenSigner([NEW])
    token = signer.sign("ann@example.com", "newsletter")
    assert re.fullmatch(r"2\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{22}", token)
    assert re.fullmatch(TOKEN_PATTERN, token)
    assert signer.verify(token) == ("ann@example.com", "newsletter")
    assert signer.sign("ann@example.com", "newsletter") == token, "a message can be rendered again without a change"


@pytest.mark.parametrize("keys", [(KEY_OF_VERSION_1,), (NEW, KEY_OF_VERSION_1)], ids=["same key", "replaced key"])
@pytest.mark.parametrize(("whom", "token"), OF_VERSION_1.items())
def test_tokens_of_version_1_stay_valid(keys: tuple[bytes, ...], whom: tuple[str, str], token: str) -> None:
    assert re.fullmatch(TOKEN_PATTERN, token)
    assert TokenSigner(keys).verify(token) == whom
    assert TokenSigner([NEW]).verify(token) is None


def test_token_of_one_version_is_invalid_in_the_other() -> None:
    signer = TokenSigner([KEY_OF_VERSION_1])
    for whom, token in OF_VERSION_1.items():
        for forged in (f"2{token[1:]}", f"1{signer.sign(*whom)[1:]}", f"2{token[1:-2]}", f"3{signer.sign(*whom)[1:]}"):
            assert signer.verify(forged) is None


def test_old_links_still_work_after_a_key_change() -> None:
    rotated = TokenSigner([NEW, OLD])
    assert rotated.verify(TokenSigner([OLD]).sign("a@b.example", "t")) == ("a@b.example", "t")
    assert TokenSigner([NEW]).verify(rotated.sign("a@b.example", "t")) == ("a@b.example", "t")
    assert TokenSigner([OLD]).verify(rotated.sign("a@b.example", "t")) is None


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "1",
        "1.YQ.",
        "ü.ü.ü",
        "1.YQ.AAAAAAAAAAAAAAAAAAAAAAAA",
        "\ud800",
        "2.",
        "2..",
        "2.YQ.",
        "2.YQ.AAAAAAAAAAAAAAAAAAAAAA",
        "2.ü.ü",
        "2.\ud800.x",
        "3.",
        "3..",
        "3.YQ.AAAAAAAAAAAAAAAAAAAAAA",
        "3.\ud800.x",
    ],
)
def test_invalid_token_identifies_nobody(token: str) -> None:
    assert TokenSigner([NEW]).verify(token) is None


@pytest.mark.parametrize("keys", [[], [b"short"], [NEW, b""]])
def test_missing_and_short_keys_are_refused(keys: list[bytes]) -> None:
    with pytest.raises(ConfigurationError, match="openssl rand -hex 32"):
        TokenSigner(keys)


# Of (address, topic, digest of the run, lease, index); of every length modulo 3.
OF_VERSION_3 = {
    ("a@b.example", "t", b"\0\0\0\0\0\0", 0, 0): "3.LEY8uPJbi4cviDoyRPKq9zGRPXSPzQ.rX7eYZWW28KQgA_KL6Ay4A",
    ("ab@b.example", "t", b"abcdef", 1, 127): "3.pxQYUHpZIJe-jUOhR87FWeMv-t1HdL8.savD4EeGSkzfI_sjCdVfRg",
    ("abc@b.example", "t", b"abcdef", 128, 4999): "3.x_Ux29HMX6ReQYyCV67tBEiUl4kNgm-BLrs.55AyshlFU0XgheGhNs7B4Q",
    (
        "bjørn@bücher.example",
        "Grüße",
        b"\xff" * 6,
        2**31 - 1,
        2**31 - 1,
    ): "3.tBmIgmEDgMldLtxBXEySBn5i5cfRnSlpA_-ZAYN_0e3sbdyC8crzDGws-bmwihU.8g-otSVA0lXh6pr6T8JAeg",
}


@pytest.mark.parametrize(("made_of", "token"), OF_VERSION_3.items())
def test_token_of_a_run_is_always_the_same(made_of: tuple[str, str, bytes, int, int], token: str) -> None:
    address, topic, run, lease, index = made_of
    signer = TokenSigner([KEY_OF_VERSION_1])
    assert signer.bind_run(topic, run).sign(address, lease, index) == token
    assert re.fullmatch(TOKEN_PATTERN, token)
    assert signer.read(token) == TokenContent(address, topic, TokenRow(run, lease, index))


@pytest.mark.parametrize(("whom", "token"), [*OF_VERSION_1.items(), *OF_VERSION_2.items()])
def test_tokens_of_earlier_versions_name_no_run(whom: tuple[str, str], token: str) -> None:
    assert TokenSigner([NEW, KEY_OF_VERSION_1]).read(token) == TokenContent(*whom, None)
