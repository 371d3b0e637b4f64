"""Unsubscribe tokens: the address and the topic of a link, so that only our own links are honoured (RFC 8058 3.1).

A token is encrypted with AES-SIV (RFC 5297), which hides the address and the topic and proves that mailrun made it.
Without a key, a reader learns only the total length of both. The same address, topic and key always give the same
token, so a message can be rendered again without a change; two equal tokens have the same address and topic.

Tokens of version 1, of earlier releases, contain the address in base64 and a MAC. They stay valid, but no new
ones are made. A token of version 2 is 2 characters shorter, so it fits into every header that version 1 fitted into.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import b2a_base64
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from engine.errors import ConfigurationError
from engine.keyed_hash import KeyedHash

TOKEN_PATTERN = r"(?:2\.[A-Za-z0-9_-]{1,1024}\.[A-Za-z0-9_-]{22}|1\.[A-Za-z0-9_-]{1,1024}\.[A-Za-z0-9_-]{24})"  # noqa: S105 - no secret

_SIGNED, _SEALED = "1.", "2."
_MAC_BYTES = 18  # of version 1: 144 bits, and 24 characters of base64 without spare bits
_TAG_BYTES = 16  # of version 2: AES-SIV's synthetic IV
_TAG_CHARACTERS = 24  # its base64, of which two are padding
_ZEROS = (b"", b"\0\0", b"\0")  # that fill a group of three bytes, by the bytes that it has
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_SHORTEST_KEY = 16
_DOMAIN = b"mailrun unsubscribe\0"  # separates these MACs from other uses of the same key
_SEALING = b"mailrun unsubscribe token 2"  # HKDF's info: versions 1 and 2 use different keys


class TokenSigner:
    """Makes and checks the tokens of unsubscribe links.

    Args:
        keys: secrets of at least 16 bytes. The first makes tokens, all of them verify, so that a key can be replaced
            while links that it signed are still in mailboxes.

    Raises:
        ConfigurationError: no key, or one that is too short.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or min(map(len, keys)) < _SHORTEST_KEY:
            raise ConfigurationError(
                "unsubscribe links need a signing key of 16 bytes or more" if keys else "no unsubscribe key is set",
                where="the unsubscribe keys",
                remedy="create a key, for instance with openssl rand -hex 32, and set unsubscribe_keys to it",
            )
        self._keys = tuple(map(KeyedHash, keys))
        self._ciphers = tuple(map(_derive_cipher, keys))
        self._encrypt = self._ciphers[0].encrypt

    def sign(self, address: str, topic: str) -> str:
        """Return the token, URL-safe ASCII: version, encrypted address and topic, and tag, separated by dots."""
        sealed = self._encrypt(f"{address}\0{topic}".encode(), None)
        size = len(sealed) - _TAG_BYTES
        # Both parts in one pass: zeros before the tag let it begin a group of four characters.
        encoded = b2a_base64(sealed[_TAG_BYTES:] + _ZEROS[size % 3] + sealed[:_TAG_BYTES], newline=False)
        text = encoded.translate(_URL_SAFE).decode("ascii")
        return f"{_SEALED}{text[: (4 * size + 2) // 3]}.{text[-_TAG_CHARACTERS:-2]}"

    def verify(self, token: str) -> tuple[str, str] | None:
        """Return the address and the topic of a token that one of the keys made; None for anything else.

        Only the exact spelling of a token is accepted.
        """
        if token.startswith(_SEALED):
            payload = self._open(token)
        elif token.startswith(_SIGNED):
            payload = self._check(token)
        else:
            payload = None
        if payload is None:
            return None
        address, _, topic = payload.decode().partition("\0")
        return address, topic

    def _open(self, token: str) -> bytes | None:
        """Decrypt a token of version 2."""
        text, _, tag = token.removeprefix(_SEALED).partition(".")
        sealed, found = _decode(text), _decode(tag)
        if not sealed or found is None or len(found) != _TAG_BYTES:
            return None
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(found + sealed, None)
            except InvalidTag:
                continue
        return None

    def _check(self, token: str) -> bytes | None:
        """Check the MAC of a token of version 1, which covers the token as text, in constant time."""
        if not token.isascii():
            return None
        signed, _, mac = token.rpartition(".")
        matches = [hmac.compare_digest(_mac(key, signed), mac) for key in self._keys]
        if not any(matches) or not signed.startswith(_SIGNED):
            return None
        payload = signed.removeprefix(_SIGNED)
        return urlsafe_b64decode(payload + "=" * (-len(payload) % 4))


def _derive_cipher(key: bytes) -> AESSIV:
    return AESSIV(HKDF(SHA256(), length=64, salt=None, info=_SEALING).derive(key))


def _mac(key: KeyedHash, signed: str) -> str:
    return _encode(key.digest(_DOMAIN + signed.encode("ascii"))[:_MAC_BYTES])


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _decode(text: str) -> bytes | None:
    """Decode canonical base64; return None for any other spelling."""
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    return data if _encode(data) == text else None
