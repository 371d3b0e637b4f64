"""Unsubscribe tokens: who wants out of what, signed, so that only our own links are honoured (RFC 8058 3.1)."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

from engine.errors import ConfigurationError
from engine.keyed_hash import KeyedHash

_VERSION = "1"
_MAC_BYTES = 18  # 144 bits, and 24 characters of base64 without spare bits
_SHORTEST_KEY = 16
_DOMAIN = b"mailrun unsubscribe\0"  # the keys sign nothing else by accident


class TokenSigner:
    """Makes and checks the tokens of unsubscribe links.

    Args:
        keys: secrets of at least 16 bytes. The first signs, all of them verify, so that a key can be replaced
            while links that it signed are still in mailboxes.

    Raises:
        ConfigurationError: no key, or one that is too short.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or min(map(len, keys)) < _SHORTEST_KEY:
            raise ConfigurationError(
                "unsubscribe links need a signing key of 16 bytes or more" if keys else "there is no unsubscribe key",
                where="the unsubscribe keys",
                remedy="create one, for instance with: openssl rand -hex 32",
            )
        self._keys = tuple(map(KeyedHash, keys))

    def sign(self, address: str, topic: str) -> str:
        """Return the token, URL-safe ASCII: version, payload and MAC, separated by dots."""
        payload = urlsafe_b64encode(f"{address}\0{topic}".encode()).rstrip(b"=")
        signed = f"{_VERSION}.{payload.decode('ascii')}"
        return f"{signed}.{_mac(self._keys[0], signed)}"

    def verify(self, token: str) -> tuple[str, str] | None:
        """Return the address and the topic of a token that one of the keys signed; None for anything else.

        The MAC covers the token as text, so that no other spelling of it passes; it is compared in constant time.
        """
        signed, _, mac = token.rpartition(".")
        if not token.isascii():
            return None
        matches = [hmac.compare_digest(_mac(key, signed), mac) for key in self._keys]
        if not any(matches) or not signed.startswith(f"{_VERSION}."):
            return None
        payload = signed.partition(".")[2]
        address, _, topic = urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode().partition("\0")
        return address, topic


def _mac(key: KeyedHash, signed: str) -> str:
    digest = key.digest(_DOMAIN + signed.encode("ascii"))
    return urlsafe_b64encode(digest[:_MAC_BYTES]).decode("ascii")
