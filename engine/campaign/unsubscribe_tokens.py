"""Unsubscribe tokens: the address and the topic of a link, so that only our own links are honoured (RFC 8058 3.1).

A token of a run also names the run, by a digest, and the row that the message was for: an opt-out is counted for the
run without a look into its files. A token of a preview, a proof or a check names no run.

A token is encrypted with AES-SIV (RFC 5297), which hides what it holds and proves that mailrun made it. Without a key,
a reader learns only its total length. The same address, topic, row and key always give the same token, so a message
can be rendered again without a change; two equal tokens have the same address and topic.

| version | holds | made |
|---|---|---|
| 1 | address and topic in base64, and a MAC | by earlier releases; they stay valid |
| 2 | address and topic | for no run |
| 3 | address, topic, run, lease and index | for a run; 12 to 23 characters longer than version 2 |
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import b2a_base64
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from engine.errors import ConfigurationError
from engine.keyed_hash import KeyedHash

TOKEN_PATTERN = r"(?:[23]\.[A-Za-z0-9_-]{1,1024}\.[A-Za-z0-9_-]{22}|1\.[A-Za-z0-9_-]{1,1024}\.[A-Za-z0-9_-]{24})"  # noqa: S105 - no secret

RUN_BYTES = 6  # of a run's digest
_SIGNED, _SEALED, _OF_RUN = "1.", "2.", "3."
_MAC_BYTES = 18  # of version 1: 144 bits, and 24 characters of base64 without spare bits
_TAG_BYTES = 16  # of versions 2 and 3: AES-SIV's synthetic IV
_TAG_CHARACTERS = 24  # its base64, of which two are padding
_ZEROS = (b"", b"\0\0", b"\0")  # that fill a group of three bytes, by the bytes that it has
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_SHORTEST_KEY = 16
_DOMAIN = b"mailrun unsubscribe\0"  # separates these MACs from other uses of the same key
_SEALING = b"mailrun unsubscribe token 2"  # HKDF's info: each version uses another key
_SEALING_OF_RUN = b"mailrun unsubscribe token 3"


class TokenRow(Struct, frozen=True):
    """The row that a message was for.

    Attributes:
        run: the digest of its run, `RUN_BYTES`.
        lease: ordinal of its lease.
        index: its place in the lease, in the plan's order, from 0.
    """

    run: bytes
    lease: int
    index: int


class TokenContent(NamedTuple):
    """What a valid token holds; `row` is None for one of no run."""

    address: str
    topic: str
    row: TokenRow | None = None


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
        self._ciphers = tuple(_derive_cipher(key, _SEALING) for key in keys)
        self._run_ciphers = tuple(_derive_cipher(key, _SEALING_OF_RUN) for key in keys)
        self._encrypt = self._ciphers[0].encrypt

    def sign(self, address: str, topic: str) -> str:
        """Return a token of no run, URL-safe ASCII: version, what it holds encrypted, and tag, separated by dots."""
        return _write(_SEALED, self._encrypt(f"{address}\0{topic}".encode(), None))

    def bind_run(self, topic: str, run: bytes) -> "RunSigner":
        """Return what makes the tokens of a run.

        Args:
            topic: of its campaign.
            run: its digest, `RUN_BYTES`.
        """
        return RunSigner(self._run_ciphers[0], topic, run)

    def verify(self, token: str) -> tuple[str, str] | None:
        """Return the address and the topic of a token that one of the keys made; None for anything else."""
        found = self.read(token)
        return None if found is None else (found.address, found.topic)

    def read(self, token: str) -> TokenContent | None:
        """Return what a token holds that one of the keys made; None for anything else.

        Only the exact spelling of a token is accepted.
        """
        if token.startswith(_OF_RUN):
            payload = _open(token, self._run_ciphers)
            return None if payload is None else _read_content(payload)
        if token.startswith(_SEALED):
            payload = _open(token, self._ciphers)
        elif token.startswith(_SIGNED):
            payload = self._check(token)
        else:
            payload = None
        if payload is None:
            return None
        address, _, topic = payload.decode().partition("\0")
        return TokenContent(address, topic)

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


class RunSigner:
    """Makes the tokens of one run.

    Args:
        cipher: of the key that signs.
        topic: of the run's campaign.
        run: the run's digest.
    """

    def __init__(self, cipher: AESSIV, topic: str, run: bytes) -> None:
        self._encrypt = cipher.encrypt
        self._of_run = b"\0" + topic.encode() + b"\0" + run
        self._lease = -1
        self._of_lease = b""  # what follows the address in all tokens of a lease

    def sign(self, address: str, lease: int, index: int) -> str:
        """Return the token of a row, as `TokenSigner.sign`; `lease` and `index` as in `TokenRow`."""
        if lease != self._lease:
            self._of_lease = self._of_run + _write_number(lease)
            self._lease = lease
        return _write(_OF_RUN, self._encrypt(address.encode() + self._of_lease + _write_number(index), None))


def _write(version: str, sealed: bytes) -> str:
    """Write what AES-SIV returned as a token."""
    size = len(sealed) - _TAG_BYTES
    # Both parts in one pass: zeros before the tag let it begin a group of four characters.
    encoded = b2a_base64(sealed[_TAG_BYTES:] + _ZEROS[size % 3] + sealed[:_TAG_BYTES], newline=False)
    text = encoded.translate(_URL_SAFE).decode("ascii")
    return f"{version}{text[: (4 * size + 2) // 3]}.{text[-_TAG_CHARACTERS:-2]}"


def _open(token: str, ciphers: Sequence[AESSIV]) -> bytes | None:
    """Decrypt a token of version 2 or 3 with the ciphers of its version."""
    text, _, tag = token[len(_SEALED) :].partition(".")
    sealed, found = _decode(text), _decode(tag)
    if not sealed or found is None or len(found) != _TAG_BYTES:
        return None
    for cipher in ciphers:
        try:
            return cipher.decrypt(found + sealed, None)
        except InvalidTag:
            continue
    return None


def _write_number(number: int) -> bytes:
    """Write a number in groups of 7 bits, the lowest first; all but the last have the highest bit (LEB128)."""
    if number < 0x80:
        return _SMALL[number]
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    return bytes((number & 0x7F | 0x80,)) + _write_number(number >> 7)


_SMALL = tuple(bytes((number,)) for number in range(0x80))


def _read_content(payload: bytes) -> TokenContent:
    """Read what a token of version 3 holds."""
    address, topic, row = payload.split(b"\0", 2)
    lease, index = _read_numbers(row[RUN_BYTES:])
    return TokenContent(address.decode(), topic.decode(), TokenRow(row[:RUN_BYTES], lease, index))


def _read_numbers(data: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number = shift = 0


def _derive_cipher(key: bytes, info: bytes) -> AESSIV:
    return AESSIV(HKDF(SHA256(), length=64, salt=None, info=info).derive(key))


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
