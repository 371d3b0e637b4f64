"""A DKIM key record, parsed (RFC 6376 3.6.1, RFC 8301, RFC 8463)."""

import base64
import binascii

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from msgspec import Struct

from engine.authentication.tag_list import read_tags

BITS_MINIMUM = 1024  # receivers do not verify with fewer: RFC 8301 3.2
BITS_ADVISED = 2048
_ED25519_BYTES = 32


class PublishedKey(Struct, frozen=True):
    """A key.

    Attributes:
        kind: rsa or ed25519.
        bits: its length.
        is_testing: t=y, receivers may ignore its signatures.
    """

    kind: str
    bits: int
    is_testing: bool = False


class KeyFault(Struct, frozen=True):
    """Why a record has no key that verifies mail, such as "the key is revoked: p= is empty"."""

    what: str


def parse_key(record: str) -> PublishedKey | KeyFault:
    """Parse the TXT record of a key."""
    tags = read_tags(record)
    if tags is None or "p" not in tags:
        return KeyFault("it is not a DKIM key: it has no tag p=")
    if fault := _find_fault(tags):
        return KeyFault(fault)
    kind = tags.get("k", "rsa").lower()
    try:
        data = base64.b64decode("".join(tags["p"].split()), validate=True)
        bits = 8 * _ED25519_BYTES if kind == "ed25519" and len(data) == _ED25519_BYTES else _measure_rsa(data)
    except (binascii.Error, ValueError, TypeError, UnsupportedAlgorithm):
        return KeyFault("the key in p= cannot be read")
    return PublishedKey(kind, bits, "y" in (flag.strip() for flag in tags.get("t", "").split(":")))


def _find_fault(tags: dict[str, str]) -> str:
    if "v" in tags and (tags["v"] != "DKIM1" or next(iter(tags)) != "v"):
        return "the version must be v=DKIM1, at the beginning"
    if tags.get("k", "rsa").lower() not in {"rsa", "ed25519"}:
        return "the type of the key (k=) is neither rsa nor ed25519"
    if not tags["p"]:
        return "the key is revoked: p= is empty"
    if "h" in tags and "sha256" not in {one.strip().lower() for one in tags["h"].split(":")}:
        return "the key does not permit sha256 (h=)"
    if "s" in tags and not {"*", "email"} & {one.strip().lower() for one in tags["s"].split(":")}:
        return "the key is not for email (s=)"
    return ""


def _measure_rsa(data: bytes) -> int:
    key = load_der_public_key(data)
    if not isinstance(key, RSAPublicKey):
        raise TypeError("not an RSA key")
    return key.key_size
